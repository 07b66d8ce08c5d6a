//! Events that a part of L2, or the bus, did not take: repeated until it does.
//!
//! They wait here, so that one sick shard holds up nobody but its own keys. All of
//! them go into one announcement per round: a key that changed a thousand times
//! meanwhile is written once when its shard is back.

use crate::outbox::{InFlight, Outbox};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The pause before the first repetition, and after one that got somewhere.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause: how much later than its shard an event may come back.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Repeats what comes in until it is announced, or until `give_up` ends: then
/// everything is given back to the stream. Returns when nothing more can come.
pub async fn run(
    outbox: Arc<Outbox>,
    mut incoming: mpsc::UnboundedReceiver<InFlight>,
    to_repeat: mpsc::UnboundedSender<InFlight>,
    ack_wait: Duration,
    give_up: CancellationToken,
) {
    let mut events = Vec::new();
    let mut pause = PAUSE_MIN;
    while let Some(event) = incoming.recv().await {
        events.push(event);
        tracing::warn!("events wait for L2 or the bus");
        while !events.is_empty() {
            while let Ok(event) = incoming.try_recv() {
                events.push(event);
            }
            outbox.metrics.late(events.len());
            tokio::select! {
                biased;
                () = give_up.cancelled() => break,
                () = sleep(pause) => {}
            }
            outbox.keep(&mut events, ack_wait).await;
            let round = outbox.announce(&mut events).await;
            for event in outbox.first_time_done(&mut events) {
                // Closed only if its receiver crashed; the stream delivers again.
                let _ = to_repeat.send(event);
            }
            outbox.settle(&mut events).await;
            pause = if round.progress {
                PAUSE_MIN
            } else {
                (pause * 2).min(PAUSE_MAX)
            };
            if let Some(why) = round.obstacle {
                tracing::debug!(why, waiting = events.len(), "not announced yet");
            }
        }
        pause = PAUSE_MIN;
        if !events.is_empty() {
            tracing::warn!(count = events.len(), "events are given back, not announced");
            outbox.give_back(std::mem::take(&mut events)).await;
        } else {
            tracing::info!("no event waits any longer");
        }
        outbox.metrics.late(0);
    }
}
