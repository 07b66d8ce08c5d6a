//! Events that are announced a second time, for sources that tell of a commit before every
//! reader sees it.
//!
//! 1. the source tells of a commit, for instance while a synchronous replica keeps it
//!    waiting; the row's key is announced
//! 2. a reader misses, loads the row as it still sees it, the old one, and caches it
//! 3. the commit becomes visible, and nothing tells of it any more
//!
//! So the same keys are announced again after a while, and without a position of the
//! stream: a change without one is placed after all that its bucket has seen, so that the
//! value of step 2 goes too. Until then the event is not answered for: whoever dies in
//! between leaves it to the next one, and no heartbeat says that it is done.
//!
//! This bounds the harm and does not end it: a commit may take longer than any time. A
//! capture with its barrier needs none of it.

use crate::outbox::{InFlight, Outbox};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Into how many steps the time is divided: events of one are announced together.
const STEPS: u32 = 8;
/// The shortest step.
const STEP_MIN: Duration = Duration::from_millis(10);

/// Announces what comes in once more, this long after it came, or gives it back when
/// `give_up` ends. Returns when nothing more can come.
pub async fn run(
    outbox: Arc<Outbox>,
    mut incoming: mpsc::UnboundedReceiver<InFlight>,
    after: Duration,
    ack_wait: Duration,
    give_up: CancellationToken,
) {
    let mut waiting: VecDeque<InFlight> = VecDeque::new();
    // When each of them is due; they come in that order.
    let mut times: VecDeque<Instant> = VecDeque::new();
    let mut due = Vec::new();
    let mut is_open = true;
    let mut tick = interval((after / STEPS).min(ack_wait / 6).max(STEP_MIN));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while is_open || !waiting.is_empty() || !due.is_empty() {
        tokio::select! {
            biased;
            () = give_up.cancelled() => break,
            _ = tick.tick() => {
                let now = Instant::now();
                while times.pop_front_if(|at| *at <= now).is_some() {
                    due.extend(waiting.pop_front().map(InFlight::again));
                }
                outbox.keep(waiting.make_contiguous(), ack_wait).await;
                outbox.keep(&mut due, ack_wait).await;
                outbox.announce(&mut due).await;
                outbox.settle(&mut due).await;
            }
            event = incoming.recv(), if is_open => match event {
                Some(event) => {
                    times.push_back(Instant::now() + after);
                    waiting.push_back(event);
                }
                None => is_open = false,
            },
        }
    }
    due.extend(waiting);
    outbox.give_back(due).await;
}
