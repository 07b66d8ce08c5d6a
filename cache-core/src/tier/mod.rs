//! The seam of L2: one record a key, one watermark a bucket, and the few atomic
//! steps that the coherence protocol is made of.
//!
//! Every implementation answers the same for the same history; the contract
//! suite in `testkit` holds them to it.

pub mod decide;
pub mod front;
pub mod l1;
pub mod memory;
pub mod observed;
pub mod redis;
pub mod tags;

use crate::model::key::{Address, Bucket};
use crate::model::position::Position;
use async_trait::async_trait;
use bytes::Bytes;
use std::fmt;
use std::time::Duration;

/// How long a mark stays after a lease, an offer or the invalidation of a key: far
/// longer than any lease. Nothing rests on it; it only spares the key its bucket's
/// higher floor.
pub const MARK_KEEP: Duration = Duration::from_secs(600);

/// What L2 holds for a key: always in one place, so that one step replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A value with its as-of.
    Value {
        /// The position up to which the value surely contains every commit.
        as_of: Position,
        /// The envelope around the encoded value.
        body: Bytes,
    },
    /// No value, and the smallest as-of that one may have.
    Mark {
        /// The floor.
        floor: Position,
    },
}

/// A bucket's watermark: three positions without expiry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// The highest position applied in the bucket.
    pub applied: Position,
    /// The highest heartbeat written to the bucket.
    pub seen: Position,
    /// Values below this are refused: raised when the bucket may have lost an
    /// invalidation (failover) or when the epoch changes.
    pub floor: Position,
}

/// What a process has heard of a bucket. A watermark below it has lost writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The highest position that was applied in it.
    pub applied: Position,
    /// The highest heartbeat that was written to it.
    pub seen: Position,
}

impl Known {
    /// Nothing.
    pub const NOTHING: Self = Self {
        applied: Position::ZERO,
        seen: Position::ZERO,
    };

    /// How far the bucket was known. A heartbeat's position counts for every bucket: the
    /// changes up to it were committed before it was sent.
    pub fn highest(&self) -> Position {
        self.applied.max(self.seen)
    }
}

impl Watermark {
    /// Whether writes that somebody has heard of are gone. A later change may have
    /// brought `applied` up again; then `seen` gives it away.
    pub fn has_lost(&self, known: &Known) -> bool {
        self.applied < known.applied || self.seen < known.seen
    }

    /// The same with a position applied.
    pub(crate) fn at_least(self, position: Position) -> Self {
        Self {
            applied: self.applied.max(position),
            ..self
        }
    }

    /// What becomes of it then: no value from before is believed.
    pub(crate) fn raised(self, known: &Known) -> Self {
        let start = self.applied.max(known.applied).max(known.seen);
        Self {
            applied: start,
            seen: self.seen.max(known.seen),
            floor: start,
        }
    }
}

/// A record and its bucket's watermark, read together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The record, if there is one that can be read.
    pub record: Option<Record>,
    /// The watermark, if the bucket has one.
    pub watermark: Option<Watermark>,
    /// Bytes were there, but not a record.
    pub garbage: bool,
    /// Whether the record is marked with a lease or a quarantine, which may have ended.
    pub leased: bool,
}

/// What a caller has made of the value it read, before it asks for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There was none.
    Nothing,
    /// One with this as-of, which must not be served: it gives way to the lease.
    Refused(Position),
    /// One with this as-of, which has only grown old: it stays until the fill.
    Expired(Position),
}

/// A random number that names one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

/// The answer to a request for the right to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leased {
    /// The caller loads; a value read from now on has this as-of.
    Granted {
        /// The bucket's applied position at the grant.
        as_of: Position,
        /// The smallest as-of that may be stored.
        floor: Position,
    },
    /// Somebody else loads, for at most this much longer.
    Busy {
        /// The rest of the other's lease.
        remaining: Duration,
    },
    /// A value has come in meanwhile: read again.
    Present,
    /// The bucket has no watermark; nothing may be stored until it has one.
    NoWatermark,
}

/// A value offered to L2.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The lease it was loaded under; `None` for a value set without one.
    pub token: Option<Token>,
    /// Its as-of; `None` takes the position that the lease was granted at (or,
    /// without a lease, the bucket's applied position).
    pub as_of: Option<Position>,
    /// The envelope.
    pub body: Bytes,
    /// How long L2 keeps it.
    pub ttl: Duration,
}

/// What became of an [`Offer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// Stored with this as-of.
    Stored {
        /// The as-of it was stored with.
        as_of: Position,
    },
    /// Not stored: older than this floor.
    Superseded {
        /// The floor that refused it.
        floor: Position,
    },
    /// Not stored: the lease ran out, or an invalidation took it.
    LeaseLost,
}

/// What an invalidation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The key's record is at or above `position`.
    Done {
        /// The position applied: the given one, or the next local one.
        position: Position,
        /// What the record admits: its floor, or the as-of of a value that stayed.
        floor: Position,
        /// The bucket's new floor, if it had lost changes that the caller knew of.
        raised: Option<Position>,
    },
    /// The bucket has no watermark, and the step may not create one.
    NoWatermark,
    /// The change is of an epoch that has ended: the stream or the database it belongs
    /// to is no more.
    OldEpoch,
    /// The bucket's local ticks are used up; only a change with an offset, or a
    /// raised epoch, moves it on.
    TicksExhausted,
}

/// One invalidation for [`Remote::apply`].
#[derive(Clone, Debug)]
pub struct Invalidate {
    /// The record.
    pub address: Address,
    /// The change's position; `None` takes the bucket's next local one.
    /// [`Position::ZERO`] invalidates nothing and makes sure that the record
    /// has a floor.
    pub position: Option<Position>,
    /// What the caller has heard of the bucket. Whether writes were lost is looked at
    /// in this very step, since its own change would hide it.
    pub known: Known,
    /// How long the mark is kept. Safety never rests on it: an absent record's
    /// floor is the bucket's applied position.
    pub keep: Duration,
}

/// Another envelope for a value that is there.
#[derive(Clone, Debug)]
pub struct Touch {
    /// The value's as-of, which stays.
    pub as_of: Position,
    /// The envelope that it has.
    pub was: Bytes,
    /// The envelope that it gets.
    pub body: Bytes,
    /// How long L2 keeps it.
    pub ttl: Duration,
}

/// A value that its writer has just committed.
#[derive(Clone, Debug)]
pub struct Write {
    /// The quarantine it was written under.
    pub token: Token,
    /// The position of its commit; `None` takes the next local one after the quarantine
    /// began.
    pub as_of: Option<Position>,
    /// What the caller has heard of the bucket.
    pub known: Known,
    /// The envelope.
    pub body: Bytes,
    /// How long L2 keeps it.
    pub ttl: Duration,
}

/// What became of a [`Write`]. Whatever other tiers hold of the key is older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Stored, with the position for its as-of.
    Stored {
        /// The commit's, or the next local one after the quarantine began.
        position: Position,
        /// The bucket's new floor, if it had lost changes that the caller knew of.
        raised: Option<Position>,
    },
    /// Invalidated instead: the quarantine ran out, or an invalidation or another
    /// writer took it, or the bucket has lost writes since, or the commit's position
    /// cannot be true.
    Invalidated {
        /// The bucket's next local position.
        position: Position,
        /// As above.
        raised: Option<Position>,
    },
    /// The bucket has no watermark.
    NoWatermark,
    /// The bucket's local ticks are used up.
    TicksExhausted,
}

/// One bucket's part of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The bucket.
    pub bucket: Bucket,
    /// The heartbeat's position, written as `seen`.
    pub seen: Position,
    /// What the caller has heard of the bucket.
    pub known: Known,
    /// Whether the caller has another reason to think that writes were lost: the
    /// bucket has moved to another node, which may have been behind.
    pub doubted: bool,
}

/// What a [`Beat`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beaten {
    /// The watermark is where it should be.
    Fine(Watermark),
    /// The watermark had gone back, or was absent, and its floor has been raised:
    /// every older value of the bucket is refused from here on.
    Raised(Watermark),
}

/// Why L2 did not answer. Never shown to a caller who can be served otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// No answer within the time allowed.
    #[error("L2 did not answer in time")]
    Timeout,
    /// The node is known to be down; nothing was sent.
    #[error("L2 node {0} is down")]
    Down(String),
    /// The connection broke or the node refused.
    #[error("L2: {0}")]
    Failed(String),
}

/// L2.
///
/// Each method is one atomic step on one record and its bucket's watermark;
/// `read` is the only one on the path of a hit.
#[async_trait]
pub trait Remote: Send + Sync + fmt::Debug + 'static {
    /// Reads a record and its bucket's watermark in one round trip.
    async fn read(&self, address: &Address) -> Result<Reading, RemoteError>;

    /// Asks for the right to load. A value that came in after the one that was `seen`
    /// is answered with [`Leased::Present`].
    async fn lease(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
        seen: Seen,
    ) -> Result<Leased, RemoteError>;

    /// Offers a value.
    async fn fill(&self, address: &Address, offer: Offer) -> Result<Filled, RemoteError>;

    /// Puts another envelope around a value. False if it is not there any more, or under
    /// a lease: then everything stays as it is.
    async fn touch(&self, address: &Address, touch: Touch) -> Result<bool, RemoteError>;

    /// Gives a lease back without a value; the floor stays.
    async fn release(&self, address: &Address, token: Token) -> Result<(), RemoteError>;

    /// Puts a key under quarantine for a writer, before its commit: nobody is served
    /// what L2 held, and nobody else may fill. It takes over every lease, and other
    /// writers' quarantines too. False if the bucket has no watermark.
    async fn quarantine(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
    ) -> Result<bool, RemoteError>;

    /// Stores what a writer has committed, over its own quarantine; invalidates the key
    /// if that is gone.
    async fn write(&self, address: &Address, write: Write) -> Result<Written, RemoteError>;

    /// Applies invalidations; the answers come in the order of the request.
    async fn apply(&self, batch: Vec<Invalidate>) -> Vec<Result<Applied, RemoteError>>;

    /// The fixed terms of the domain: writes `terms` if there are none yet, and
    /// returns what holds.
    async fn agree(&self, terms: &[u8]) -> Result<Bytes, RemoteError>;

    /// The buckets that another node serves than when this was last asked. It may
    /// lack the last writes of the one before, which need not show in a watermark:
    /// that holds the highest position, not all of them.
    fn moved(&self) -> Vec<Bucket> {
        Vec::new()
    }

    /// Writes heartbeats; the answers come in the order of the request.
    async fn beat(&self, batch: Vec<Beat>) -> Vec<Result<Beaten, RemoteError>>;
}
