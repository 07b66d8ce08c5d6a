//! When a key whose write failed is tried again, and with how many others.

use super::Behind;
use crate::clock::Tick;
use std::time::Duration;

/// What is known of a key whose writes fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// How often in a row.
    pub times: u32,
    /// How often while other calls succeeded: each time halves the calls that it is in.
    pub apart: u32,
    /// How many calls of the leader had succeeded then.
    pub successes: u64,
    /// It is not written again before.
    pub not_before: Tick,
}

impl Failed {
    /// A key that is tried at once, in a call of its own.
    pub fn alone(now: Tick) -> Self {
        Self {
            times: 0,
            apart: u32::BITS,
            successes: 0,
            not_before: now,
        }
    }

    /// What is known after one more failure, when so many calls had succeeded.
    pub fn again(before: Option<Self>, successes: u64, now: Tick, behind: &Behind) -> Self {
        let (times, apart, since) = before.map_or((0, 0, successes), |failed| {
            (failed.times, failed.apart, failed.successes)
        });
        let times = times.saturating_add(1);
        Self {
            times,
            apart: apart.saturating_add(u32::from(since != successes)),
            successes,
            not_before: now.after(behind.pause(times)),
        }
    }
}

impl Behind {
    /// The pause after so many failures in a row.
    pub(super) fn pause(&self, times: u32) -> Duration {
        let doublings = times.saturating_sub(1).min(16);
        let doubled = self.backoff.saturating_mul(1 << doublings);
        doubled.min(self.backoff_max)
    }
}
