//! What an exploration has seen happen, against vacuity: a rule that is never
//! put to the test holds in vain. These are steps, not states, so they are
//! noted while steps are taken.

use std::sync::atomic::{AtomicU32, Ordering};

/// Something worth having been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// L1 has an entry that it may serve.
    L1Answers,
    /// L2 had a value that may be served.
    L2Answers,
    /// A fill was stored.
    Stored,
    /// A fill was refused.
    Refused,
    /// L1 was not given a value because its ticket was old.
    FenceHeld,
    /// A reader refused a bucket that was behind what it had heard.
    Distrusted,
    /// A gap dropped L1.
    Gap,
    /// A failover brought an older bucket back.
    LostWrites,
    /// A bucket's floor was raised.
    Raised,
    /// Writes have ended and everything is handled.
    Rest,
    /// An entry was refused for its tag.
    TagRefused,
    /// A caller joined a flight.
    Joined,
    /// A load went to the primary because the replica was too far behind.
    Rerouted,
    /// L1 stopped answering for want of signs of life.
    Lapsed,
    /// A writer stored its value over its quarantine.
    WroteThrough,
    /// A writer had lost its quarantine.
    QuarantineLost,
    /// A value in L2 had expired.
    Aged,
    /// A hit was too old for `at_least`.
    TooOld,
}

/// The set of what was seen.
#[derive(Debug, Default)]
pub(crate) struct Sights(AtomicU32);

impl Sights {
    /// Notes something.
    pub(crate) fn note(&self, sight: Sight) {
        let bit = 1 << sight as u32;
        // Most are noted already: a read keeps the line shared between threads.
        if self.0.load(Ordering::Relaxed) & bit == 0 {
            self.0.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Whether something was seen.
    pub(crate) fn seen(&self, sight: Sight) -> bool {
        self.0.load(Ordering::Relaxed) & 1 << sight as u32 != 0
    }
}
