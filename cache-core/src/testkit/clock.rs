//! Clocks that move when a test, or its runtime, says so.

use crate::clock::{Clock, Tick};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The wall clock's reading when a hand clock starts: a Tuesday in November 2023.
const WALL_START_MS: u64 = 1_700_000_000_000;

/// A clock turned by hand. Both of its readings move together.
#[derive(Debug, Default)]
pub struct HandClock {
    millis: AtomicU64,
}

impl HandClock {
    /// A clock at its start.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves on.
    pub fn turn(&self, span: Duration) {
        self.millis
            .fetch_add(span.as_millis() as u64, Ordering::AcqRel);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Tick {
        Tick::at(Duration::from_millis(self.millis.load(Ordering::Acquire)))
    }

    fn wall_ms(&self) -> u64 {
        WALL_START_MS + self.millis.load(Ordering::Acquire)
    }
}

/// The time of the runtime, which a test may stop, and which leaps to the next timer then.
#[derive(Debug)]
pub struct RuntimeClock(Instant);

impl RuntimeClock {
    /// A clock at its start.
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for RuntimeClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Tick {
        Tick::at(self.0.elapsed())
    }

    fn wall_ms(&self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
}
