//! The one source of chance in a run: the same seed, the same run.

use cache_core::random::Random;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Seeded chance, shared by everything in one run.
#[derive(Clone, Debug)]
pub(crate) struct Dice(Arc<Mutex<StdRng>>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// True in `share` of all throws.
    pub(crate) fn chance(&self, share: f64) -> bool {
        share > 0.0 && self.0.lock().random_bool(share)
    }

    /// A number in a range.
    pub(crate) fn pick(&self, range: Range<usize>) -> usize {
        self.0.lock().random_range(range)
    }

    /// A span in a range of milliseconds.
    pub(crate) fn span(&self, millis: Range<u64>) -> Duration {
        Duration::from_millis(self.0.lock().random_range(millis))
    }
}

impl Random for Dice {
    fn next(&self) -> u64 {
        self.0.lock().random()
    }
}
