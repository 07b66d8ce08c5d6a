//! The only place that draws random numbers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Random numbers, handed in so that tests can replay them.
pub trait Random: Send + Sync + fmt::Debug + 'static {
    /// A uniform number.
    fn next(&self) -> u64;
}

impl dyn Random {
    /// A uniform share in 0 to 1.
    pub fn share(&self) -> f64 {
        // The upper 53 bits are what a double holds exactly.
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The machine's randomness: fit for tokens and identities.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next(&self) -> u64 {
        rand::random()
    }
}

/// All, of what a [`Sample`] draws from.
pub const MILLION: u32 = 1_000_000;

/// The most drawn ones of one [`Sample`] that are being looked at.
pub const TURNS: usize = 8;

/// 2^32 divided by the golden ratio: its multiples lie evenly (Weyl's sequence).
const STEP: u32 = 0x9E37_79B9;

/// Draws so many of a million, evenly, for the cost of one addition.
#[derive(Debug)]
pub struct Sample {
    /// Of 2^32; 0 draws none.
    share: AtomicU64,
    at: AtomicU32,
    turns: Arc<Semaphore>,
}

impl Sample {
    /// A sample of so many in a million; `start` keeps processes out of step.
    pub fn new(per_million: u32, start: u64) -> Self {
        Self {
            share: AtomicU64::new(share(per_million)),
            at: AtomicU32::new(start as u32),
            turns: Arc::new(Semaphore::new(TURNS)),
        }
    }

    /// Whether the next one is drawn.
    pub fn draws(&self) -> bool {
        let share = self.share.load(Ordering::Relaxed);
        share > 0 && u64::from(self.at.fetch_add(STEP, Ordering::Relaxed)) < share
    }

    /// Draws so many in a million from here on.
    pub fn set(&self, per_million: u32) {
        self.share.store(share(per_million), Ordering::Relaxed);
    }

    /// The right to look at a drawn one, unless [`TURNS`] are being looked at.
    pub fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.turns.clone().try_acquire_owned().ok()
    }
}

/// So many in a million, of 2^32.
fn share(per_million: u32) -> u64 {
    (u64::from(per_million) << 32) / u64::from(MILLION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_draws_its_share_evenly() {
        for per_million in [0, 1_000, 250_000, 1_000_000] {
            let sample = Sample::new(per_million, 7);
            for _ in 0..10 {
                let drawn = (0..100_000).filter(|_| sample.draws()).count();
                let due = per_million as usize / 10;
                assert!(
                    drawn.abs_diff(due) <= 5,
                    "{drawn} of 100000 at {per_million}"
                );
            }
        }
    }

    #[test]
    fn no_more_than_the_turns_are_taken() {
        let sample = Sample::new(1, 0);
        let mut taken: Vec<_> = (0..TURNS).map(|_| sample.turn()).collect();
        assert!(taken.iter().all(Option::is_some) && sample.turn().is_none());
        taken.pop();
        assert!(sample.turn().is_some(), "one was given back");
    }
}
