//! The coherence lease: L1 answers only while this process surely hears of
//! changes. A cut connection makes no sound; so does a healthy one with nothing
//! to say. Heartbeats tell the two apart.

use crate::clock::Tick;
use crate::shim::{AtomicU64, Ordering};
use std::time::Duration;

/// Until when L1 may answer, on the monotonic clock.
#[derive(Debug, Default)]
pub struct Trust {
    /// Nanoseconds since the clock's start; 0 is "not at all".
    until: AtomicU64,
}

impl Trust {
    /// Not trusted until something is heard.
    pub fn new() -> Self {
        Self::default()
    }

    /// A sign of life was heard that began at `from`: trust for `span` from then.
    pub fn renew(&self, from: Tick, span: Duration) {
        self.until
            .fetch_max(nanos(from.after(span)), Ordering::AcqRel);
    }

    /// Ends the trust at once.
    pub fn lapse(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Whether L1 may answer at `now`.
    pub fn holds(&self, now: Tick) -> bool {
        nanos(now) <= self.until.load(Ordering::Acquire)
    }
}

fn nanos(tick: Tick) -> u64 {
    // 584 years of uptime fit; 0 is reserved.
    u64::try_from(tick.since_start().as_nanos())
        .unwrap_or(u64::MAX)
        .max(1)
}
