//! The bytes of a bus message: who says it, its number, and what was invalidated.
//!
//! The structs with `Wire` in their names are the format and derive `Serialize`;
//! the public ones are what the program works with and never leave the process.

use crate::bus::MESSAGE_BYTES_MAX;
use crate::model::key::{Bucket, KEY_LEN_MAX, Key, Name};
use crate::model::position::Position;
use crate::model::tag::Tag;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The format's version, the first byte of every message.
const VERSION: u8 = 2;
/// The most invalidations in one message.
pub const INVALIDATIONS_MAX: usize = 256;
// A full message of longest keys, each with 192 bytes of names and numbers, fits.
const _: () = assert!(INVALIDATIONS_MAX * (KEY_LEN_MAX + 192) <= MESSAGE_BYTES_MAX);

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

#[derive(Serialize, Deserialize)]
struct WireMessage {
    publisher: u64,
    sequence: u64,
    content: WireContent,
}

#[derive(Serialize, Deserialize)]
enum WireContent {
    Invalidate(Vec<WireInvalidation>),
    Heartbeat { invalidator: bool, seen: u128 },
    Farewell,
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
                if all.len() > INVALIDATIONS_MAX {
                    return None;
                }
                let all: Option<_> = all.into_iter().map(WireInvalidation::parse).collect();
                Content::Invalidate(all?)
            }
            WireContent::Heartbeat { invalidator, seen } => Content::Heartbeat {
                invalidator,
                seen: Position::unpacked(seen),
            },
            WireContent::Farewell => Content::Farewell,
        };
        Some(Message {
            publisher: Publisher(self.publisher),
            sequence: self.sequence,
            content,
        })
    }
}

// === impl WireInvalidation ===

impl From<&Invalidation> for WireInvalidation {
    fn from(one: &Invalidation) -> Self {
        let target = match &one.target {
            Target::Key { cache, key } => WireTarget::Key {
                cache: cache.as_str().to_owned(),
                key: key.to_vec(),
            },
            Target::Tag { cache, tag } => WireTarget::Tag {
                cache: cache.as_str().to_owned(),
                tag: tag.as_str().to_owned(),
            },
            Target::Bucket(bucket) => WireTarget::Bucket(bucket.0),
        };
        Self {
            target,
            position: one.position.packed(),
            changed_ms: one.changed_ms,
            in_l2: one.in_l2,
        }
    }
}

impl WireInvalidation {
    fn parse(self) -> Option<Invalidation> {
        let target = match self.target {
            WireTarget::Key { cache, key } => Target::Key {
                cache: Name::new(cache).ok()?,
                key: Key::new(&key).ok()?.bytes().into(),
            },
            WireTarget::Tag { cache, tag } => Target::Tag {
                cache: Name::new(cache).ok()?,
                tag: if tag == "*" {
                    Tag::all()
                } else {
                    Tag::new(tag).ok()?
                },
            },
            WireTarget::Bucket(bucket) => Target::Bucket(Bucket(bucket)),
        };
        Some(Invalidation {
            target,
            position: Position::unpacked(self.position),
            changed_ms: self.changed_ms,
            in_l2: self.in_l2,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Message {
        let users = Name::new("users").unwrap();
        let at = |target| Invalidation {
            target,
            position: Position::new(1, 300, 2),
            changed_ms: Some(1_700_000_000_000),
            in_l2: true,
        };
        Message {
            publisher: Publisher(0xfeed),
            sequence: 41,
            content: Content::Invalidate(vec![
                at(Target::Key {
                    cache: users.clone(),
                    key: b"user:7".as_slice().into(),
                }),
                at(Target::Tag {
                    cache: users,
                    tag: Tag::all(),
                }),
                at(Target::Bucket(Bucket(255))),
            ]),
        }
    }

    #[test]
    fn what_is_encoded_is_read_back() {
        for content in [
            sample().content,
            Content::Farewell,
            Content::Heartbeat {
                invalidator: true,
                seen: Position::new(u32::MAX, u64::MAX, u32::MAX),
            },
        ] {
            let message = Message {
                content,
                ..sample()
            };
            let bytes = message.encode().unwrap();
            assert_eq!(Message::decode(&bytes), Some(message));
        }
    }

    #[test]
    fn trailing_bytes_other_versions_and_nothing_are_refused() {
        let mut bytes = sample().encode().unwrap().to_vec();
        bytes.push(0);
        assert_eq!(Message::decode(&bytes), None);
        bytes.pop();
        bytes[0] = VERSION + 1;
        assert_eq!(Message::decode(&bytes), None);
        assert_eq!(Message::decode(&[]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::decode(&bytes);
            let versioned: Vec<u8> = [&[VERSION], &bytes[..]].concat();
            let _ = Message::decode(&versioned);
        }
    }
}
