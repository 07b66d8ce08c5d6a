//! The bytes of a bus message: who says it, its number, and what was invalidated.
//!
//! The structs with `Wire` in their names are the format and derive `Serialize`;
//! the public ones are what the program works with and never leave the process.

use crate::bus::MESSAGE_BYTES_MAX;
use crate::model::key::{Bucket, KEY_LEN_MAX, Key, Name};
use crate::model::landmark::Landmark;
use crate::model::position::Position;
use crate::model::second_look::SecondLook;
use crate::model::tag::Tag;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The format's version, the first byte of every message. A kind of content that is
/// added at the end is none of its own: a process that does not know the kind takes
/// it for a loss, so those that listen are replaced before those that say it.
const VERSION: u8 = 2;
/// The most invalidations in one message.
pub const INVALIDATIONS_MAX: usize = 256;
// A full message of longest keys, each with 192 bytes of names and numbers, fits.
const _: () = assert!(INVALIDATIONS_MAX * (KEY_LEN_MAX + 192) <= MESSAGE_BYTES_MAX);
/// The most inspections, or violations, in one message. Each is as large as an
/// invalidation at most.
pub const INSPECTIONS_MAX: usize = INVALIDATIONS_MAX;

/// One message on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub publisher: Publisher,
    /// The publisher's contiguous number. An [`Content::Invalidate`] takes the next
    /// one; the others repeat the last one taken, so that a lost last message
    /// is noticed.
    pub sequence: u64,
    /// What is said.
    pub content: Content,
}

/// The random identity of one publishing process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Publisher(pub u64);

/// What a [`Message`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// These are invalid below their positions.
    Invalidate(Vec<Invalidation>),
    /// The publisher is alive.
    Heartbeat {
        /// Whether it is an invalidator: only its heartbeat proves that changes
        /// of the database are still being carried.
        invalidator: bool,
        /// Every bucket of L2 has been told of this position.
        seen: Position,
    },
    /// The publisher goes quiet: its silence is no loss.
    Farewell,
    /// These were announced a while ago: every process looks whether one of its L1s
    /// would still serve what they ended.
    Inspect {
        /// How long ago.
        look: SecondLook,
        /// What was announced.
        all: Vec<Inspection>,
    },
    /// L1s of the publisher would have served these, and have dropped them.
    Violated(Vec<Violation>),
    /// How far the stream is in its database's log.
    Landmark(Landmark),
}

/// One thing invalidated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalidation {
    /// What.
    pub target: Target,
    /// The smallest as-of still valid.
    pub position: Position,
    /// When the change was made at its source, in milliseconds since the epoch;
    /// for measuring lag only.
    pub changed_ms: Option<u64>,
    /// Whether L2 has applied it. If not, it is told once more when L2 has.
    pub in_l2: bool,
}

/// An announced invalidation that is looked at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// What it hit.
    pub target: Target,
    /// The smallest as-of that has been valid since.
    pub position: Position,
}

/// What an L1 would have served although an announced invalidation had ended it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What the invalidation hit.
    pub target: Target,
    /// The smallest as-of that was valid.
    pub position: Position,
    /// The as-of of what L1 held; of a tag, the floor that L1 admitted entries by.
    pub held: Position,
}

/// What an [`Invalidation`] hits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// One key of a cache.
    Key {
        /// The cache.
        cache: Name,
        /// The key.
        key: Arc<[u8]>,
    },
    /// Every entry of a cache with this tag.
    Tag {
        /// The cache.
        cache: Name,
        /// The tag.
        tag: Tag,
    },
    /// Every entry of a bucket, in every cache of the domain.
    Bucket(Bucket),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { cache, key } => write!(f, "{cache}: key {}", key.escape_ascii()),
            Self::Tag { cache, tag } => write!(f, "{cache}: tag {tag}"),
            Self::Bucket(bucket) => write!(f, "bucket {}", bucket.0),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct WireMessage {
    publisher: u64,
    sequence: u64,
    content: WireContent,
}

#[derive(Serialize, Deserialize)]
enum WireContent {
    Invalidate(Vec<WireInvalidation>),
    Heartbeat {
        invalidator: bool,
        seen: u128,
    },
    Farewell,
    Inspect {
        look: u8,
        all: Vec<WireInspection>,
    },
    Violated(Vec<WireViolation>),
    Landmark {
        position: u128,
        commit: u64,
        log: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct WireInspection {
    target: WireTarget,
    position: u128,
}

#[derive(Serialize, Deserialize)]
struct WireViolation {
    target: WireTarget,
    position: u128,
    held: u128,
}

#[derive(Serialize, Deserialize)]
struct WireInvalidation {
    target: WireTarget,
    position: u128,
    changed_ms: Option<u64>,
    in_l2: bool,
}

#[derive(Serialize, Deserialize)]
enum WireTarget {
    Key { cache: String, key: Vec<u8> },
    Tag { cache: String, tag: String },
    Bucket(u8),
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MESSAGE_BYTES_MAX>()
}

impl Message {
    /// The bytes, or `None` above the bus's message limit.
    pub fn encode(&self) -> Option<Bytes> {
        let mut bytes = vec![VERSION];
        let wire = WireMessage::from(self);
        bincode::serde::encode_into_std_write(&wire, &mut bytes, config()).ok()?;
        (bytes.len() <= MESSAGE_BYTES_MAX).then(|| bytes.into())
    }

    /// Reads a message; `None` for anything that is not one. A listener treats
    /// such bytes as a loss, because they may have been an invalidation.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        if version != VERSION || bytes.len() > MESSAGE_BYTES_MAX {
            return None;
        }
        let (wire, used): (WireMessage, _) =
            bincode::serde::decode_from_slice(rest, config()).ok()?;
        (used == rest.len()).then(|| wire.parse())?
    }
}

// === impl WireMessage ===

impl From<&Message> for WireMessage {
    fn from(message: &Message) -> Self {
        let content = match &message.content {
            Content::Invalidate(all) => {
                WireContent::Invalidate(all.iter().map(WireInvalidation::from).collect())
            }
            Content::Heartbeat { invalidator, seen } => WireContent::Heartbeat {
                invalidator: *invalidator,
                seen: seen.packed(),
            },
            Content::Farewell => WireContent::Farewell,
            Content::Inspect { look, all } => WireContent::Inspect {
                look: look.index() as u8,
                all: all.iter().map(WireInspection::from).collect(),
            },
            Content::Violated(all) => {
                WireContent::Violated(all.iter().map(WireViolation::from).collect())
            }
            Content::Landmark(one) => WireContent::Landmark {
                position: one.position.packed(),
                commit: one.commit,
                log: one.log,
            },
        };
        Self {
            publisher: message.publisher.0,
            sequence: message.sequence,
            content,
        }
    }
}

impl WireMessage {
    fn parse(self) -> Option<Message> {
        let content = match self.content {
            WireContent::Invalidate(all) => {
                Content::Invalidate(parse_all(all, INVALIDATIONS_MAX, WireInvalidation::parse)?)
            }
            WireContent::Heartbeat { invalidator, seen } => Content::Heartbeat {
                invalidator,
                seen: Position::unpacked(seen),
            },
            WireContent::Farewell => Content::Farewell,
            WireContent::Inspect { look, all } => Content::Inspect {
                look: *SecondLook::ALL.get(usize::from(look))?,
                all: parse_all(all, INSPECTIONS_MAX, WireInspection::parse)?,
            },
            WireContent::Violated(all) => {
                Content::Violated(parse_all(all, INSPECTIONS_MAX, WireViolation::parse)?)
            }
            WireContent::Landmark {
                position,
                commit,
                log,
            } => Content::Landmark(Landmark {
                position: Position::unpacked(position),
                commit,
                log,
            }),
        };
        Some(Message {
            publisher: Publisher(self.publisher),
            sequence: self.sequence,
            content,
        })
    }
}

/// At most `most`, or nothing: a message that claims more is none of ours.
fn parse_all<W, T>(all: Vec<W>, most: usize, parse: impl FnMut(W) -> Option<T>) -> Option<Vec<T>> {
    let all = Some(all).filter(|all| all.len() <= most)?;
    all.into_iter().map(parse).collect()
}

// === impl WireInvalidation ===

impl From<&Invalidation> for WireInvalidation {
    fn from(one: &Invalidation) -> Self {
        Self {
            target: WireTarget::from(&one.target),
            position: one.position.packed(),
            changed_ms: one.changed_ms,
            in_l2: one.in_l2,
        }
    }
}

impl WireInvalidation {
    fn parse(self) -> Option<Invalidation> {
        Some(Invalidation {
            target: self.target.parse()?,
            position: Position::unpacked(self.position),
            changed_ms: self.changed_ms,
            in_l2: self.in_l2,
        })
    }
}

// === impl WireInspection ===

impl From<&Inspection> for WireInspection {
    fn from(one: &Inspection) -> Self {
        Self {
            target: WireTarget::from(&one.target),
            position: one.position.packed(),
        }
    }
}

impl WireInspection {
    fn parse(self) -> Option<Inspection> {
        Some(Inspection {
            target: self.target.parse()?,
            position: Position::unpacked(self.position),
        })
    }
}

// === impl WireViolation ===

impl From<&Violation> for WireViolation {
    fn from(one: &Violation) -> Self {
        Self {
            target: WireTarget::from(&one.target),
            position: one.position.packed(),
            held: one.held.packed(),
        }
    }
}

impl WireViolation {
    fn parse(self) -> Option<Violation> {
        Some(Violation {
            target: self.target.parse()?,
            position: Position::unpacked(self.position),
            held: Position::unpacked(self.held),
        })
    }
}

// === impl WireTarget ===

impl From<&Target> for WireTarget {
    fn from(target: &Target) -> Self {
        match target {
            Target::Key { cache, key } => Self::Key {
                cache: cache.as_str().to_owned(),
                key: key.to_vec(),
            },
            Target::Tag { cache, tag } => Self::Tag {
                cache: cache.as_str().to_owned(),
                tag: tag.as_str().to_owned(),
            },
            Target::Bucket(bucket) => Self::Bucket(bucket.0),
        }
    }
}

impl WireTarget {
    fn parse(self) -> Option<Target> {
        Some(match self {
            Self::Key { cache, key } => Target::Key {
                cache: Name::new(cache).ok()?,
                key: Key::new(&key).ok()?.bytes().into(),
            },
            Self::Tag { cache, tag } => Target::Tag {
                cache: Name::new(cache).ok()?,
                tag: if tag == "*" {
                    Tag::all()
                } else {
                    Tag::new(tag).ok()?
                },
            },
            Self::Bucket(bucket) => Target::Bucket(Bucket(bucket)),
        })
    }
}

#[cfg(test)]
mod tests;
