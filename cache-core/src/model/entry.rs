//! What is known about one key: a value or its absence, and how far it reaches.

use super::position::Position;
use super::tag::Tag;
use bytes::Bytes;
use std::time::Duration;

/// A tag on an entry, with how far its bucket was known before the value was read.
///
/// A tag's floor and the entry's key live in different buckets, and positions
/// with ticks compare within one bucket only: hence a stamp a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The tag.
    pub tag: Tag,
    /// The position its bucket was known to have applied before the read began.
    pub as_of: Position,
}

/// One key's value as the tiers hold it, before or after its codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<V> {
    /// The value; `None` is a known absence.
    pub value: Option<V>,
    /// The position up to which the value surely contains every commit.
    pub as_of: Position,
    /// Its tags; the first is always [`Tag::all`].
    pub stamps: Vec<Stamp>,
    /// When it was stored, in milliseconds of the storing machine's wall clock.
    pub stored_ms: u64,
    /// How long it may be served from then on.
    pub ttl: Duration,
    /// What its loader told it from other values by.
    pub validator: Option<Bytes>,
    /// Nothing but its lifetime bounds how old it is: it is never served beyond.
    pub fleeting: bool,
}

impl<V> Entry<V> {
    /// Whether both are copies of what was stored once for their key.
    pub fn is_copy_of(&self, other: &Self) -> bool {
        (self.as_of, self.stored_ms) == (other.as_of, other.stored_ms)
    }

    /// How much of its lifetime is left at `wall_ms`.
    ///
    /// Machines' clocks differ: an entry from the future counts as stored just
    /// then, so a skewed clock can stretch a life to twice its length, not more.
    pub fn remaining(&self, wall_ms: u64) -> Duration {
        self.ttl.saturating_sub(self.age(wall_ms))
    }

    /// The same of its lifetime and so much more, for which it may be served when
    /// nothing else is to be had.
    pub fn remaining_stale(&self, wall_ms: u64, stale_ttl: Duration) -> Duration {
        self.kept(stale_ttl).saturating_sub(self.age(wall_ms))
    }

    /// How long a tier keeps it in all.
    pub fn kept(&self, stale_ttl: Duration) -> Duration {
        if self.fleeting || self.ttl.is_zero() {
            return self.ttl;
        }
        self.ttl.saturating_add(stale_ttl)
    }

    fn age(&self, wall_ms: u64) -> Duration {
        Duration::from_millis(wall_ms.saturating_sub(self.stored_ms))
    }

    /// The same entry with its value turned into another.
    ///
    /// # Errors
    /// What `turn` says.
    pub fn try_map<W, E>(self, turn: impl FnOnce(V) -> Result<W, E>) -> Result<Entry<W>, E> {
        Ok(Entry {
            value: self.value.map(turn).transpose()?,
            as_of: self.as_of,
            stamps: self.stamps,
            stored_ms: self.stored_ms,
            ttl: self.ttl,
            validator: self.validator,
            fleeting: self.fleeting,
        })
    }
}
