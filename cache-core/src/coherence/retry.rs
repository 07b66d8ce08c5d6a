//! Local invalidations that L2 did not take: repeated, the same step and never a
//! variant of it, until L2 has them all.

use crate::coherence::announce::{Announced, Announcer, Change};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// How many invalidations may wait for an L2 that is away, and as many again may be
/// in the round that is under way.
pub const RETRIES_MAX: usize = 10_000;
/// How many go into one announcement.
const BATCH: usize = 256;
/// The pause after a round that L2 did not take whole.
const PAUSE: Duration = Duration::from_millis(200);
/// How often it is looked whether all are done.
const LOOK: Duration = Duration::from_millis(10);

/// Where invalidations are kept until L2 has them.
#[derive(Debug)]
pub struct Retries {
    queue: mpsc::Sender<Change>,
    left: Arc<AtomicUsize>,
}

/// The other end, which repeats them.
#[derive(Debug)]
pub struct Repeats {
    waiting: mpsc::Receiver<Change>,
    left: Arc<AtomicUsize>,
}

/// Both ends, with nothing between them.
pub fn channel() -> (Retries, Repeats) {
    let (queue, waiting) = mpsc::channel(RETRIES_MAX);
    let left = Arc::new(AtomicUsize::new(0));
    let retries = Retries {
        queue,
        left: left.clone(),
    };
    (retries, Repeats { waiting, left })
}

impl Retries {
    /// Keeps an invalidation; false if too many wait already.
    pub fn keep(&self, change: Change) -> bool {
        self.left.fetch_add(1, Ordering::AcqRel);
        let kept = self.queue.try_send(change).is_ok();
        if !kept {
            self.left.fetch_sub(1, Ordering::AcqRel);
        }
        kept
    }

    /// Waits until L2 has all, but not for ever; returns how many it lacks then.
    pub async fn drained(&self, within: Duration) -> usize {
        let left = || self.left.load(Ordering::Acquire);
        let drained = async {
            while left() > 0 {
                sleep(LOOK).await;
            }
        };
        let _ = timeout(within, drained).await;
        left()
    }
}

impl Repeats {
    /// Repeats what comes in, until nothing more can come. What came later does not
    /// wait for what L2 still refuses: one shard may be away, and the others not.
    pub async fn run(mut self, announcer: Arc<Announcer>) {
        let mut round = Vec::new();
        loop {
            let room = RETRIES_MAX - round.len();
            if round.is_empty() {
                if self.waiting.recv_many(&mut round, room).await == 0 {
                    return;
                }
            } else {
                round.extend(std::iter::from_fn(|| self.waiting.try_recv().ok()).take(room));
            }
            let before = round.len();
            let mut refused = Vec::new();
            for batch in round.chunks(BATCH) {
                refused.extend(repeat(&announcer, batch).await);
            }
            self.left
                .fetch_sub(before - refused.len(), Ordering::AcqRel);
            round = refused;
            if !round.is_empty() {
                sleep(PAUSE).await;
            }
        }
    }
}

/// Announces a batch again; returns what L2 did not take.
async fn repeat(announcer: &Announcer, batch: &[Change]) -> Vec<Change> {
    match announcer.announce_again(batch).await {
        Ok(answers) => {
            let pairs = batch.iter().zip(answers);
            let refused = pairs.filter(|(_, told)| !matches!(told, Announced::Everywhere(_)));
            refused.map(|(change, _)| change.clone()).collect()
        }
        Err(error) => {
            tracing::debug!(%error, "the bus is away");
            batch.to_vec()
        }
    }
}
