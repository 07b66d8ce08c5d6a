//! Striped generations: a value read before an invalidation may not be served
//! after it.
//!
//! Every key hashes to one of 65,536 counters. A reader takes the key's count
//! BEFORE its first outside read and stores it with the value; an invalidation
//! counts up; a stored value is valid while its count is the current one. So the
//! race that empties other caches of their promise ends well without any lock:
//!
//! 1. reader takes ticket 4, reads the old value from L2
//! 2. invalidation: the counter becomes 5, L1 is told to drop the key
//! 3. reader puts the old value into L1, with ticket 4
//! 4. the next reader finds the entry, 4 is not 5, and passes it by
//!
//! Two keys of one stripe invalidate each other, one time in 65,536: a miss, not
//! an error. Stripes are never evicted and need no memory a key.
//!
//! What invalidates everything counts up one number more, which is part of every
//! key's count. The sum of two numbers that only grow grows with either, so a sum
//! read while they change is at most the current one, and never an old one again.

use crate::model::key::{BUCKETS, Bucket, KeyHash, STRIPES};
use crate::shim::{AtomicU64, Ordering};
use std::fmt;

/// The count of a stripe at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

/// The generations of one process, shared by all its caches.
pub struct Fence {
    stripes: Box<[AtomicU64]>,
    all: AtomicU64,
}

impl Fence {
    /// A fence that nothing has passed yet.
    pub fn new() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            all: AtomicU64::new(0),
        }
    }

    /// The count to store with a value. Take it before the first read of
    /// anything outside this process: moving that line breaks the design.
    pub fn ticket(&self, hash: KeyHash) -> Ticket {
        // Acquire: what follows in this thread cannot be read before the count.
        let stripe = self.stripes[hash.stripe()].load(Ordering::Acquire);
        Ticket(stripe + self.all.load(Ordering::Acquire))
    }

    /// Whether nothing was invalidated since the ticket was taken.
    pub fn holds(&self, hash: KeyHash, ticket: Ticket) -> bool {
        self.ticket(hash) == ticket
    }

    /// Invalidates one key's stripe.
    pub fn raise(&self, hash: KeyHash) {
        self.stripes[hash.stripe()].fetch_add(1, Ordering::AcqRel);
    }

    /// Invalidates all stripes of a bucket.
    pub fn raise_bucket(&self, bucket: Bucket) {
        const PER_BUCKET: usize = STRIPES / BUCKETS;
        let first = bucket.index() * PER_BUCKET;
        for stripe in &self.stripes[first..first + PER_BUCKET] {
            stripe.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Invalidates everything.
    pub fn raise_all(&self) {
        self.all.fetch_add(1, Ordering::AcqRel);
    }
}

impl Default for Fence {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fence").finish_non_exhaustive()
    }
}
