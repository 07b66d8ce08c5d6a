//! Simulated time: the runtime's, which stands still while anybody can run and
//! leaps to the next timer when nobody can.

use cache_core::clock::{Clock, Tick};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The wall clock's reading when a run starts.
const WALL_START_MS: i64 = 1_700_000_000_000;

/// One process's clocks. Monotonic time is common to all; the wall clocks are as
/// wrong as the run wants them to be.
#[derive(Debug)]
pub(crate) struct SimClock {
    start: Instant,
    skew_ms: AtomicI64,
}

impl SimClock {
    /// A clock whose monotonic time is counted from `start`.
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            skew_ms: AtomicI64::new(0),
        }
    }

    /// Sets how wrong the wall clock is.
    pub(crate) fn skew(&self, millis: i64) {
        self.skew_ms.store(millis, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Tick {
        Tick::at(self.start.elapsed())
    }

    fn wall_ms(&self) -> u64 {
        let since = self.start.elapsed().as_millis() as i64;
        (WALL_START_MS + since + self.skew_ms.load(Ordering::Relaxed)) as u64
    }
}

/// Sleeps in simulated time.
pub(crate) async fn pause(span: Duration) {
    tokio::time::sleep(span).await;
}
