//! Everything that happens, as one closed type: logs and counters hear the same.

use crate::model::key::{Bucket, KeyHash, Name};
use crate::model::position::Position;
use crate::model::second_look::SecondLook;
use std::fmt;
use std::time::Duration;

/// The most caches in one process: each has its own series in the metrics.
pub const CACHES_MAX: usize = 256;

/// The number an [`Observer`] gave to a cache, so that a hit looks nothing up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheId(pub u16);

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A read was answered. Every read is exactly one of these.
    Get {
        /// The cache.
        cache: CacheId,
        /// The tier that answered.
        tier: Tier,
        /// What the answer was.
        answer: Answer,
        /// How long it took; of hits in L1, which take less than two looks at the clock, only
        /// some are measured.
        took: Option<Duration>,
    },
    /// The source was asked.
    Load {
        /// The cache.
        cache: CacheId,
        /// How it ended.
        outcome: LoadOutcome,
        /// How long it took.
        took: Duration,
    },
    /// So many loads may run at once from here on.
    LoadTurns {
        /// The cache.
        cache: CacheId,
        /// How many.
        open: usize,
    },
    /// The source is left alone from here on, or asked again.
    Breaker {
        /// The cache.
        cache: CacheId,
        /// Whether it is left alone.
        open: bool,
    },
    /// A read was answered by what somebody else in this process looked up or loaded.
    Coalesced {
        /// The cache.
        cache: CacheId,
    },
    /// The source was written through the cache.
    Write {
        /// The cache.
        cache: CacheId,
        /// How it ended.
        outcome: WriteOutcome,
    },
    /// A read found an entry that was due to be loaded anew.
    Refresh {
        /// The cache.
        cache: CacheId,
        /// How it ended.
        outcome: RefreshOutcome,
    },
    /// Something happened to a cache's queue of writes.
    Queue {
        /// The cache.
        cache: CacheId,
        /// What.
        what: QueueEvent,
    },
    /// A lease was asked for, or came to its end.
    Lease {
        /// The cache.
        cache: CacheId,
        /// How.
        outcome: LeaseOutcome,
    },
    /// A value went into a tier.
    Put {
        /// The cache.
        cache: CacheId,
        /// The tier.
        tier: Tier,
    },
    /// L1 let an entry go.
    Dropped {
        /// The cache.
        cache: CacheId,
        /// Why.
        cause: DropCause,
    },
    /// So full is L1.
    L1Size {
        /// The cache.
        cache: CacheId,
        /// How many entries it holds.
        entries: u64,
        /// How many bytes they count for.
        bytes: u64,
        /// How many bytes it may hold.
        capacity: u64,
    },
    /// Bytes in L2 were not a value of this cache; they count as a miss.
    Undecodable {
        /// The cache.
        cache: CacheId,
        /// What was wrong.
        why: &'static str,
    },
    /// An invalidation was applied in this process.
    Applied {
        /// What it hit.
        kind: TargetKind,
        /// The time since the change at its source, where that is known.
        lag: Option<Duration>,
    },
    /// An invalidation was announced by this process.
    Announced {
        /// Whether L2 had applied it first.
        l2: bool,
    },
    /// Messages may have been lost: L1 was dropped.
    Gap {
        /// How it was noticed.
        reason: &'a str,
    },
    /// L1 is trusted from here on, or no longer.
    Trust {
        /// Whether it is trusted.
        held: bool,
    },
    /// A bucket of L2 had lost writes; its older values are refused.
    BucketRaised {
        /// The bucket.
        bucket: Bucket,
    },
    /// L2 was asked for something.
    Remote {
        /// The step.
        step: &'static str,
        /// Whether it answered.
        ok: bool,
        /// How long it took.
        took: Duration,
        /// How many bytes of values went with it, one way or the other.
        bytes: usize,
    },
    /// An announced invalidation was looked at again: in L2, or in one L1 of this
    /// process.
    Inspected {
        /// The tier.
        tier: Tier,
        /// How long after the announcement.
        look: SecondLook,
        /// What was found.
        found: Found,
    },
    /// A hit was compared with the source.
    Shadow {
        /// The cache.
        cache: CacheId,
        /// What the comparison found.
        outcome: ShadowOutcome,
        /// The key.
        key: KeyHash,
        /// The tier that had answered.
        tier: Tier,
        /// The as-of of the answer.
        as_of: Position,
    },
    /// A read of L2 was refused, because its bucket is behind what was heard.
    BucketBehind {
        /// The bucket.
        bucket: Bucket,
    },
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// This process's memory.
    L1,
    /// Redis.
    L2,
    /// Neither.
    None,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::None => "the source",
        })
    }
}

/// What a read was answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A cached value.
    Hit,
    /// A cached absence.
    Negative,
    /// A value or an absence that has expired: the source is slow, or fails.
    Stale,
    /// Nothing cached.
    Miss,
    /// An error.
    Error,
}

/// How a load ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadOutcome {
    /// With a value.
    Found,
    /// With a known absence.
    Absent,
    /// With an error or a panic.
    Failed,
    /// Not within its time.
    Timeout,
    /// It was not begun: too many run or wait.
    Shed,
    /// It was not begun: the source failed for many keys in a row.
    Refused,
}

/// How a refresh ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// The value was loaded anew, and offered.
    Loaded,
    /// Another process loads, or has loaded.
    Elsewhere,
    /// The load failed, or L2 is away.
    Failed,
    /// It was not begun: the budget is used up, or callers need the source.
    Skipped,
}

/// How a write through the cache ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The source was written, and L2 stores the value.
    Stored,
    /// The source was written, and the key is invalid everywhere: another writer or an
    /// invalidation came between, or the value cannot be stored.
    Invalidated,
    /// The source was not written.
    Failed,
    /// Nobody knows whether the source was written.
    Uncertain,
}

/// What happens to a queue of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueEvent {
    /// A write was given to it.
    Pushed(QueueOutcome),
    /// The writer was called with the last write of many keys.
    Flushed {
        /// How the call ended.
        outcome: FlushOutcome,
        /// How many writes it stood for.
        writes: u64,
        /// How long it took.
        took: Duration,
    },
    /// The source will never take a write; it was kept aside.
    PutAside,
    /// So many writes were lost with a queue in memory.
    Lost {
        /// How many.
        writes: u64,
    },
    /// So much waits.
    Backlog {
        /// How many writes.
        waiting: u64,
        /// How long the oldest of them has waited.
        oldest: Duration,
    },
}

/// How a write came into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueOutcome {
    /// It is there.
    Taken,
    /// It is not: the queue is full.
    Full,
    /// Nobody knows.
    Uncertain,
    /// It is not: the queue cannot be reached.
    Unavailable,
}

/// How a call of the writer of a queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushOutcome {
    /// The source has it all.
    Written,
    /// The source will not take some of it.
    Refused,
    /// It is tried again.
    Failed,
}

/// What became of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// This process may load.
    Granted,
    /// Another process loads.
    Busy,
    /// The value was stored.
    Filled,
    /// An invalidation came first; nothing was stored.
    Superseded,
    /// The lease had run out or was taken; nothing was stored.
    Lost,
    /// It was given back.
    Released,
}

/// Why L1 let an entry go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropCause {
    /// It had no room.
    Size,
    /// Its lifetime had ended, or nobody asked for it.
    Expired,
    /// It was invalidated, or all of L1 was.
    Invalidated,
    /// A newer one took its place.
    Replaced,
}

/// What the comparison of a hit with the source found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowOutcome {
    /// The same content.
    Agreed,
    /// Other content, but the entry was gone soon after: its invalidation was on the way.
    Lag,
    /// Other content, and the entry was still served long after. A change came without an
    /// event, or an event without effect.
    Wrong,
    /// Nobody can say: the load failed or read something older, or nobody vouches for the
    /// entry.
    Unknown,
    /// Not compared: too many loads or comparisons were running.
    Skipped,
}

/// What an invalidation hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// A key.
    Key,
    /// A tag.
    Tag,
    /// A bucket.
    Bucket,
}

/// What an inspection found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing that the invalidation should have ended.
    Held,
    /// Something that it should have ended.
    Violated,
    /// Nobody can say: L2 did not answer, or L1 is not trusted and answers nobody.
    Unknown,
}

/// Hears events. Called on hot paths: it must neither block nor allocate.
pub trait Observer: Send + Sync + fmt::Debug + 'static {
    /// Gives a cache its number; the same name gets the same one.
    fn register(&self, cache: &Name) -> CacheId;

    /// Something happened.
    fn observe(&self, event: &Event<'_>);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn register(&self, _: &Name) -> CacheId {
        CacheId(0)
    }

    fn observe(&self, _: &Event<'_>) {}
}
