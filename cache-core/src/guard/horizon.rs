//! How far this process has heard: the yardstick for what L2 answers.
//!
//! L2 applies an invalidation before the bus carries it. So a bucket whose
//! watermark is behind what was heard has lost writes, by a failover or a restart,
//! and none of its values can be believed.

use crate::model::key::{BUCKETS, Bucket};
use crate::model::position::Position;
use crate::shim::RwLock;
use crate::tier::{Known, Watermark};
use std::fmt;
use std::sync::Arc;

/// The positions one process has heard of.
pub struct Horizon {
    /// Shared with the snapshots, and copied by the first change after one: readers that
    /// miss take more snapshots than changes come.
    known: RwLock<Arc<Positions>>,
}

#[derive(Clone)]
struct Positions {
    applied: [Position; BUCKETS],
    seen: Position,
}

impl Positions {
    fn of(&self, bucket: Bucket) -> Known {
        Known {
            applied: self.applied[bucket.index()],
            seen: self.seen,
        }
    }
}

/// What was known at one moment, before a load began.
#[derive(Clone)]
pub struct Snapshot(Arc<Positions>);

impl Horizon {
    /// A horizon that has heard nothing.
    pub fn new() -> Self {
        Self {
            known: RwLock::new(Arc::new(Positions {
                applied: [Position::ZERO; BUCKETS],
                seen: Position::ZERO,
            })),
        }
    }

    /// `position` has been applied in `bucket`.
    pub fn raise(&self, bucket: Bucket, position: Position) {
        if self.known.read().applied[bucket.index()] < position {
            let mut known = self.known.write();
            let slot = &mut Arc::make_mut(&mut known).applied[bucket.index()];
            *slot = position.max(*slot);
        }
    }

    /// Every bucket has been told of `seen`.
    pub fn raise_seen(&self, seen: Position) {
        if self.known.read().seen < seen {
            let mut known = self.known.write();
            let known = Arc::make_mut(&mut known);
            known.seen = seen.max(known.seen);
        }
    }

    /// The highest position heard of in a bucket.
    pub fn applied(&self, bucket: Bucket) -> Position {
        self.known.read().applied[bucket.index()]
    }

    /// The highest position heard of in any bucket, ticks left out: they count within
    /// one bucket only.
    pub fn highest(&self) -> Position {
        let known = self.known.read();
        let applied = known.applied.iter().copied().max().unwrap_or_default();
        let highest = applied.max(known.seen);
        Position { tick: 0, ..highest }
    }

    /// What is known of a bucket: every heartbeat was written to all of them before it
    /// was heard.
    pub fn known(&self, bucket: Bucket) -> Known {
        self.known.read().of(bucket)
    }

    /// The highest heartbeat heard.
    pub fn seen(&self) -> Position {
        self.known.read().seen
    }

    /// Whether a bucket with this watermark has kept everything heard of it.
    pub fn keeps(&self, bucket: Bucket, watermark: &Watermark) -> bool {
        !watermark.has_lost(&self.known(bucket))
    }

    /// Whether a bucket with this watermark has kept everything heard of it, and
    /// learns from it. A bucket that is behind may hold values from before.
    pub fn admits(&self, bucket: Bucket, watermark: &Watermark) -> bool {
        let kept = self.keeps(bucket, watermark);
        if kept {
            self.raise(bucket, watermark.applied);
        }
        kept
    }

    /// What is known; taken before a load, it stamps the load's tags.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.known.read().clone())
    }
}

impl fmt::Debug for Horizon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.seen().to_string();
        f.debug_struct("Horizon")
            .field("seen", &seen)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl Default for Horizon {
    fn default() -> Self {
        Self::new()
    }
}

impl Snapshot {
    /// What was known of a bucket.
    pub fn of(&self, bucket: Bucket) -> Known {
        self.0.of(bucket)
    }

    /// The highest position heard of in a bucket.
    pub fn applied(&self, bucket: Bucket) -> Position {
        self.0.applied[bucket.index()]
    }

    /// How far `bucket` was known.
    pub fn as_of(&self, bucket: Bucket) -> Position {
        self.of(bucket).highest()
    }
}
