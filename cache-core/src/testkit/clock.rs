//! A clock that moves when a test says so.

use crate::clock::{Clock, Tick};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
