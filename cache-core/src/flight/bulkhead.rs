//! The source's bulkhead: how many loads run at once, and how fast that number grows.
//!
//! A cache that holds nothing makes a load of nearly every read: after an epoch was
//! raised, a cache cleared or L2 lost, and when a service is first started. The source
//! that has just been asked for a few rows a second is then asked for all of them. So
//! the bulkhead opens by slow start (RFC 5681, section 3.1), with turns for a window:
//! after quiet times it has an eighth of its turns, and it doubles them, step by step,
//! for as long as callers wait. What is asked for most is loaded first, and one load
//! answers all who wait for it: by the time that all turns are open, most of the reads
//! are hits again.
//!
//! Turns that nobody needs are taken back step by step, down to twice what was in use, as
//! a window is that was not filled (RFC 7661, section 4.4).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// The steps from few turns to all of them; each doubles their number.
pub const STEPS: u32 = 3;

/// Lets a number of loads run at once, and the others wait in line.
#[derive(Debug)]
pub struct Bulkhead {
    turns: Semaphore,
    fewest: usize,
    most: usize,
    /// The turns that are open; only [`Bulkhead::step`] writes it.
    open: AtomicUsize,
    /// The most that were in use at once since the last step.
    peak: AtomicUsize,
    /// Whether anybody has waited since the last step.
    waited: AtomicBool,
}

impl Bulkhead {
    /// A bulkhead that opens up to `most` turns, and has all of them at once unless it
    /// `ramps`.
    pub fn new(most: usize, ramps: bool) -> Self {
        let fewest = if ramps {
            most.div_ceil(1 << STEPS)
        } else {
            most
        };
        Self {
            turns: Semaphore::new(fewest),
            fewest,
            most,
            open: AtomicUsize::new(fewest),
            peak: AtomicUsize::new(0),
            waited: AtomicBool::new(false),
        }
    }

    /// Waits in line for a turn, so long at most; the turn ends when it is dropped.
    pub async fn enter(&self, patience: Duration) -> Option<SemaphorePermit<'_>> {
        let turn = match self.turns.try_acquire() {
            Ok(turn) => turn,
            Err(_) => {
                self.waited.store(true, Ordering::Relaxed);
                let turn = tokio::time::timeout(patience, self.turns.acquire()).await;
                turn.ok()?.ok()?
            }
        };
        self.peak.fetch_max(self.in_use(), Ordering::Relaxed);
        Some(turn)
    }

    /// Opens turns if callers waited since the last step, or takes some back that nobody
    /// needed; the number that is open from here on. For one task alone.
    pub fn step(&self) -> usize {
        let in_use = self.in_use();
        let peak = self.peak.swap(in_use, Ordering::Relaxed).max(in_use);
        let waited = self.waited.swap(false, Ordering::Relaxed);
        let open = self.open.load(Ordering::Relaxed);
        let next = if waited {
            let next = (2 * open).min(self.most);
            self.turns.add_permits(next - open);
            next
        } else {
            let enough = (open / 2).max(2 * peak).clamp(self.fewest, open);
            // One that somebody takes just here stays.
            open - self.turns.forget_permits(open - enough)
        };
        self.open.store(next, Ordering::Relaxed);
        next
    }

    /// Whether half of the open turns are in use.
    pub fn is_busy(&self) -> bool {
        self.in_use() > self.open.load(Ordering::Relaxed) / 2
    }

    /// Right but for steps and turns that happen at this moment.
    fn in_use(&self) -> usize {
        let open = self.open.load(Ordering::Relaxed);
        open.saturating_sub(self.turns.available_permits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    /// Takes so many turns, as many as are to be had; who gets none has waited.
    fn take(bulkhead: &Bulkhead, count: usize) -> Vec<SemaphorePermit<'_>> {
        let turn = |_| bulkhead.enter(Duration::ZERO).now_or_never().flatten();
        (0..count).filter_map(turn).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_while_callers_wait_and_not_beyond_its_most() {
        let bulkhead = Bulkhead::new(60, true);
        for (had, open) in [(8, 16), (16, 32), (32, 60), (60, 60)] {
            assert_eq!(take(&bulkhead, 100).len(), had);
            assert_eq!(bulkhead.step(), open);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_closes_down_to_twice_what_is_used() {
        let bulkhead = Bulkhead::new(64, true);
        for _ in 0..STEPS {
            drop(take(&bulkhead, 100));
            bulkhead.step();
        }
        for open in [32, 20, 20] {
            drop(take(&bulkhead, 10));
            assert_eq!(bulkhead.step(), open);
        }
        for open in [10, 8, 8] {
            assert_eq!(bulkhead.step(), open);
        }
        assert_eq!(take(&bulkhead, 100).len(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_use_is_not_taken_back() {
        let bulkhead = Bulkhead::new(64, true);
        for _ in 0..STEPS {
            drop(take(&bulkhead, 100));
            bulkhead.step();
        }
        let long = take(&bulkhead, 12);
        for open in [32, 24, 24] {
            assert_eq!(bulkhead.step(), open);
        }
        assert_eq!(take(&bulkhead, 100).len(), 12);
        drop(long);
        assert_eq!(take(&bulkhead, 100).len(), 24);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_ramp_all_turns_are_open_at_all_times() {
        let bulkhead = Bulkhead::new(64, false);
        assert_eq!(bulkhead.step(), 64);
        assert_eq!(take(&bulkhead, 100).len(), 64);
        assert_eq!(bulkhead.step(), 64);
    }
}
