//! When an invalidation is looked at again.

use std::time::Duration;

/// One of the three looks that an inspector takes at an invalidation, named by how
/// long ago that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SecondLook {
    /// After 1 s: whatever raced the announcement has arrived.
    After1s,
    /// After 10 s: leases of that time have ended, and a failover is over.
    After10s,
    /// After 60 s: processes that hung have come back, and debts of L2 have ended.
    After60s,
}

impl SecondLook {
    /// All of them, the soonest first.
    pub const ALL: [Self; 3] = [Self::After1s, Self::After10s, Self::After60s];

    /// The time since the announcement.
    pub const fn after(self) -> Duration {
        match self {
            Self::After1s => Duration::from_secs(1),
            Self::After10s => Duration::from_secs(10),
            Self::After60s => Duration::from_secs(60),
        }
    }

    /// The place in [`SecondLook::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word that the metrics and the logs use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::After1s => "1s",
            Self::After10s => "10s",
            Self::After60s => "60s",
        }
    }
}
