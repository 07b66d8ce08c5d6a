//! The only place that reads time.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point on this process's monotonic clock, counted from the clock's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(Duration);

impl Tick {
    /// The point `since` the clock's start.
    pub fn at(since: Duration) -> Self {
        Self(since)
    }

    /// The time since the clock's start.
    pub fn since_start(self) -> Duration {
        self.0
    }

    /// The point `span` later.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Time, handed in so that tests turn it by hand.
///
/// Decisions about coherence use [`Clock::now`] only. [`Clock::wall_ms`] dates
/// entries and lag for people and for the TTL backstop.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Monotonic time: never goes back, not shared between processes.
    fn now(&self) -> Tick;
    /// Milliseconds since the Unix epoch; may jump.
    fn wall_ms(&self) -> u64;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock that starts counting here.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one reader of the monotonic clock"
    )]
    pub fn new() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Tick {
        Tick(self.start.elapsed())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one reader of the wall clock"
    )]
    fn wall_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
}
