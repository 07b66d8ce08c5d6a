//! How a service lives: until it ends, or is asked to.

use crate::cli::exit::{complain, ended_with};
use cache_core::Error;
use cache_core::ops::exit::Exit;
use cache_core::ops::shutdown::Signals;
use std::fmt::Display;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Opens the admin listener, and runs what `begin` makes of it. The first signal cancels
/// the token, a second one ends everything at once.
pub async fn live<L: Future<Output = Result<(), Error>>>(
    admin: SocketAddr,
    begin: impl FnOnce(TcpListener, CancellationToken) -> L,
) -> Exit {
    // Before anything that takes time: a signal from here on means a clean end.
    let (mut signals, listener) = match (Signals::new(), listen(admin).await) {
        (Ok(signals), Ok(listener)) => (signals, listener),
        (Err(error), _) => return failed(&format_args!("cannot hear signals: {error}")),
        (_, Err(error)) => return failed(&format_args!("cannot listen on {admin}: {error}")),
    };
    let stop = CancellationToken::new();
    let mut life = std::pin::pin!(begin(listener, stop.clone()));
    tokio::select! {
        ended = &mut life => return ended_with(ended),
        _ = signals.next() => stop.cancel(),
    }
    tokio::select! {
        ended = life => ended_with(ended),
        asked = signals.next() => Exit::Killed(asked),
    }
}

async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let admin = TcpListener::bind(address).await?;
    tracing::info!(address = %admin.local_addr()?, "the admin listener is open");
    Ok(admin)
}

fn failed(why: &dyn Display) -> Exit {
    complain(why);
    Exit::Failed
}
