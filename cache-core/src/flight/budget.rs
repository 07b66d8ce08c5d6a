//! A budget of extra load: so many at once, and so many a second.

use crate::clock::Tick;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lets a bounded number of extra loads begin (a token bucket that holds a second's).
#[derive(Debug)]
pub struct Budget {
    turns: Arc<Semaphore>,
    per_second: f64,
    /// When it was last filled, and what was in it then.
    filled: Mutex<(Tick, f64)>,
}

impl Budget {
    /// A full budget of so many at once and a second.
    pub fn new(at_once: usize, per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self {
            turns: Arc::new(Semaphore::new(at_once)),
            per_second,
            filled: Mutex::new((Tick::default(), per_second)),
        }
    }

    /// Takes a turn, if there is one; it ends when it is dropped.
    pub fn take(&self, now: Tick) -> Option<OwnedSemaphorePermit> {
        let turn = self.turns.clone().try_acquire_owned().ok()?;
        let mut filled = self.filled.lock();
        let (before, held) = *filled;
        let came = now.since(before).as_secs_f64() * self.per_second;
        let held = (held + came).min(self.per_second);
        let left = held - 1.0;
        *filled = (now.max(before), if left < 0.0 { held } else { left });
        (left >= 0.0).then_some(turn)
    }
}
