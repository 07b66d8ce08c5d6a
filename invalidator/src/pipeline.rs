//! The loop: take events, decide, announce, answer.
//!
//! ```text
//! deliveries ── take ──> decide ──> announce ──> letters ──> ack
//!                                      │ not in L2, or no bus
//!                                      └──> late: the same again, until it is
//! ```
//!
//! With `repeat_after`, what is announced goes to `repeat` before it is answered for.
//!
//! Events are announced in no particular order. Positions make that safe: an older
//! change that arrives later lowers nothing.

use crate::dead_letter::Letter;
use crate::decide::{Decision, Reason, decide, give_up};
use crate::delivery::{Deliveries, Delivery};
use crate::format::received::Received;
use crate::late;
use crate::metrics::Stage;
use crate::outbox::{InFlight, Outbox};
use crate::repeat;
use crate::rules::Rules;
use crate::settings::Repeat;
use cache_core::Error;
use cache_core::model::position::Position;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How many batches are announced at once. While they are, the next one gathers.
pub const BATCHES_MAX: usize = 4;
/// How long giving back may take once the time to drain is over.
const GIVE_BACK_TIME: Duration = Duration::from_secs(1);

/// The limits of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipelineSettings {
    /// The epoch of all positions.
    pub epoch: u32,
    /// How many events one batch takes at most.
    pub batch: usize,
    /// How many events are worked on at most: the bound on memory.
    pub in_flight_max: usize,
    /// How long the stream waits for an answer.
    pub ack_wait: Duration,
    /// After how many deliveries an event is given up.
    pub attempts_max: u64,
    /// What is announced a second time.
    pub repeat: Repeat,
    /// How long events in flight may take to finish at the end.
    pub drain: Duration,
}

/// The loop and what it works with.
#[derive(Debug)]
pub struct Pipeline {
    rules: Rules,
    outbox: Arc<Outbox>,
    settings: PipelineSettings,
    permits: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    give_up: CancellationToken,
}

/// Events that were taken together, with their share of the limits.
struct Taken {
    slot: OwnedSemaphorePermit,
    permit: OwnedSemaphorePermit,
    deliveries: Vec<Delivery>,
}

impl Pipeline {
    /// A loop that has not begun.
    pub fn new(rules: Rules, outbox: Outbox, settings: PipelineSettings) -> Self {
        Self {
            rules,
            outbox: Arc::new(outbox),
            permits: Arc::new(Semaphore::new(settings.in_flight_max)),
            slots: Arc::new(Semaphore::new(BATCHES_MAX)),
            give_up: CancellationToken::new(),
            settings,
        }
    }

    /// Cancelled, it gives back to the stream at once what is in flight at the end. For
    /// an end after which nothing can be finished: where the stream does not go on, L2
    /// may have begun the next epoch, and nobody beats in this one.
    pub fn give_up(&self) -> CancellationToken {
        self.give_up.clone()
    }

    /// Runs until `stop`, then finishes what is in flight. What is not finished by
    /// the drain deadline is given back to the stream; everything, if the stream fails.
    ///
    /// # Errors
    /// The stream's, when no patience mends it.
    pub async fn run(
        self,
        mut deliveries: Box<dyn Deliveries>,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        // Unbounded, because every event in it holds one of the permits.
        let (to_late, incoming) = mpsc::unbounded_channel();
        let (to_repeat, repeated) = mpsc::unbounded_channel();
        let PipelineSettings {
            ack_wait, repeat, ..
        } = self.settings;
        let late = late::run(
            self.outbox.clone(),
            incoming,
            to_repeat.clone(),
            ack_wait,
            self.give_up.clone(),
        );
        let again = repeat::run(
            self.outbox.clone(),
            repeated,
            repeat.after(),
            ack_wait,
            self.give_up.clone(),
        );
        let tails = [tokio::spawn(late), tokio::spawn(again)];
        let mut batches = JoinSet::new();
        let ended = loop {
            let taken = tokio::select! {
                biased;
                () = stop.cancelled() => break Ok(()),
                taken = self.take(&mut *deliveries) => taken,
            };
            while let Some(finished) = batches.try_join_next() {
                finished.unwrap_or_else(crash);
            }
            match taken {
                Ok(taken) => batches.spawn(self.handle(taken, &to_late, &to_repeat)),
                Err(error) => break Err(error),
            };
        };
        deliveries.close().await;
        drop((to_late, to_repeat));
        if ended.is_err() {
            self.give_up.cancel();
        }
        self.drain(batches, tails).await;
        ended
    }

    /// Waits for what is in flight; gives back what takes too long.
    async fn drain(&self, mut batches: JoinSet<()>, tails: [JoinHandle<()>; 2]) {
        let finish = async {
            while let Some(finished) = batches.join_next().await {
                finished.unwrap_or_else(crash);
            }
            for tail in tails {
                tail.await.unwrap_or_else(crash);
            }
        };
        tokio::pin!(finish);
        if timeout(self.settings.drain, &mut finish).await.is_err() {
            self.give_up.cancel();
            // Whatever is left after this comes again when its patience is over.
            let _ = timeout(GIVE_BACK_TIME, &mut finish).await;
        }
    }

    /// The first attempt at a batch; what it leaves goes to the late ones.
    fn handle(
        &self,
        taken: Taken,
        to_late: &mpsc::UnboundedSender<InFlight>,
        to_repeat: &mpsc::UnboundedSender<InFlight>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let Taken {
            slot,
            permit,
            deliveries,
        } = taken;
        let mut events = self.decide(deliveries, permit);
        let outbox = self.outbox.clone();
        let (to_late, to_repeat) = (to_late.clone(), to_repeat.clone());
        async move {
            outbox.announce(&mut events).await;
            for event in outbox.first_time_done(&mut events) {
                let _ = to_repeat.send(event);
            }
            // A dead letter that takes long holds up nobody's announcement.
            drop(slot);
            outbox.settle(&mut events).await;
            for event in events {
                // Closed only if its receiver crashed; the stream delivers again.
                let _ = to_late.send(event);
            }
        }
    }

    /// Waits for room, then for events.
    async fn take(&self, deliveries: &mut dyn Deliveries) -> Result<Taken, Error> {
        // Room first: an event taken without room would use up its patience waiting.
        let slot = acquire(&self.slots).await;
        let mut permit = acquire(&self.permits).await;
        let more = self
            .permits
            .available_permits()
            .min(self.settings.batch.saturating_sub(1));
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        if let Ok(more) = self.permits.clone().try_acquire_many_owned(more) {
            permit.merge(more);
        }
        let deliveries = deliveries.next(permit.num_permits()).await?;
        Ok(Taken {
            slot,
            permit,
            deliveries,
        })
    }

    fn decide(&self, deliveries: Vec<Delivery>, mut permit: OwnedSemaphorePermit) -> Vec<InFlight> {
        let decided = deliveries.into_iter().map(|delivery| {
            let share = permit.split(1).expect("no more events than were asked for");
            self.decide_one(delivery, share)
        });
        decided.collect()
    }

    fn decide_one(&self, delivery: Delivery, permit: OwnedSemaphorePermit) -> InFlight {
        let Outbox { metrics, clock, .. } = &*self.outbox;
        let decision = if delivery.attempt > self.settings.attempts_max {
            give_up(delivery.attempt, &self.rules)
        } else {
            let received = Received {
                subject: &delivery.subject,
                headers: &delivery.headers,
                payload: &delivery.payload,
            };
            decide(&received, &self.rules)
        };
        metrics.decided(&decision, delivery.attempt, clock.wall_ms());
        let Decision {
            targets,
            changed_ms,
            is_early,
            letter,
            ..
        } = decision;
        let Delivery {
            subject,
            payload,
            headers,
            sequence,
            stored_ms,
            receipt,
            ..
        } = delivery;
        if let Some(changed_ms) = changed_ms {
            metrics.lag(Stage::SourceToStream, changed_ms, stored_ms);
        }
        let letter = letter.map(|Reason { rule, why }| {
            tracing::warn!(subject, sequence, why, "an event becomes a dead letter");
            Letter {
                rule,
                why,
                subject,
                epoch: self.settings.epoch,
                sequence,
                headers,
                payload,
            }
        });
        InFlight {
            second: match self.settings.repeat.takes(is_early) {
                true => targets.clone(),
                false => Vec::new(),
            },
            left: targets,
            told: false,
            position: Some(Position::new(self.settings.epoch, sequence, 0)),
            changed_ms,
            stored_ms,
            letter,
            receipt,
            patience_since: clock.now(),
            permit,
            entered: metrics.enter(),
        }
    }
}

async fn acquire(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = semaphore.clone().acquire_owned().await;
    permit.expect("the loop never closes its semaphores")
}

/// A panic is a mistake in this program: the process ends, and the stream delivers
/// again what it had in hand.
fn crash(error: JoinError) {
    if error.is_panic() {
        resume_unwind(error.into_panic());
    }
}
