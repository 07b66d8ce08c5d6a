//! The listener: so many connections, and no more.

use super::client::{Client, Shared};
use super::connection;
use super::counts::Counts;
use super::info::Rate;
use crate::callers::Callers;
use crate::calls::Agent;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The pause after the system gave no connection: it is out of files, or of memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a client hears that is one too many.
const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

/// Answers whoever connects, until `closing`; returns when the last one is gone.
///
/// # Errors
/// None by itself: trouble of one connection is its own.
pub async fn serve(
    listener: TcpListener,
    agent: Agent,
    callers: Callers,
    counts: Counts,
    closing: CancellationToken,
) -> io::Result<()> {
    let now = agent.clock.now();
    let shared = Arc::new(Shared {
        agent,
        callers,
        counts,
        rate: Rate::new(now),
        began: now,
    });
    let places = Arc::new(Semaphore::new(
        shared.agent.limits.load().resp_connections_max,
    ));
    let clients = TaskTracker::new();
    let mut last_id = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = closing.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let mut stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to the RESP door was not taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            let _ = stream.try_write(TOO_MANY);
            let _ = stream.shutdown().await;
            continue;
        };
        // Answers are written whole: waiting for more of them would only delay.
        let _ = stream.set_nodelay(true);
        last_id += 1;
        let client = Client::new(shared.clone(), last_id);
        let (shared, closing) = (shared.clone(), closing.clone());
        clients.spawn(async move {
            shared.counts.accepted.inc();
            shared.counts.connections.inc();
            connection::run(client, stream, closing).await;
            shared.counts.connections.dec();
            drop(place);
        });
    }
    clients.close();
    clients.wait().await;
    Ok(())
}
