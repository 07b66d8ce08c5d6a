//! Why a tier does not answer a read: what the decision is made of, and what people are told.

use crate::model::key::Bucket;
use crate::model::position::Position;
use crate::model::tag::Tag;
use crate::tier::l1::Unfit;
use serde::{Serialize, Serializer};
use std::fmt;

/// Why a tier does not answer a read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// An operator has switched the tier off in this process.
    SwitchedOff,
    /// L1: the process is not sure to hear of changes.
    NotTrusted,
    /// L1 holds nothing of the key.
    NotHeld,
    /// L1: the key, or one of its stripe, was invalidated since.
    FenceMoved,
    /// Its lifetime has ended. It is served if the source is slow or fails.
    Expired,
    /// Its lifetime has ended, and so has the time for which it may be served beyond.
    Ended,
    /// L1: what a tag's floor is must be asked of L2.
    TagUnknown {
        /// The tag.
        #[serde(serialize_with = "text")]
        tag: Tag,
    },
    /// A tag was invalidated since the value was loaded.
    TagFloor {
        /// The tag.
        #[serde(serialize_with = "text")]
        tag: Tag,
        /// How far its bucket was known before the load.
        #[serde(serialize_with = "text")]
        stamp: Position,
        /// What it must be at least.
        #[serde(serialize_with = "text")]
        floor: Position,
    },
    /// The bucket of a tag is behind what this process has heard.
    TagBehind {
        /// The bucket.
        #[serde(serialize_with = "number")]
        bucket: Bucket,
    },
    /// L2 did not answer.
    Unreachable,
    /// The bucket has no watermark: nothing in it is believed.
    NoWatermark,
    /// The bucket's watermark is behind what this process has heard: it has lost writes.
    BucketBehind,
    /// L2 holds nothing of the key.
    Absent,
    /// L2 holds bytes that are no record.
    NotARecord,
    /// L2 holds a mark: the key was invalidated, or a load of it failed.
    Marked {
        /// The smallest as-of that a value may have.
        #[serde(serialize_with = "text")]
        floor: Position,
    },
    /// L2 holds a mark with a lease: another loads the key, or a writer has it under
    /// quarantine, which L2 does not tell apart.
    Leased {
        /// The smallest as-of that a value may have.
        #[serde(serialize_with = "text")]
        floor: Position,
    },
    /// The value is older than its bucket's floor.
    BelowBucketFloor {
        /// The floor.
        #[serde(serialize_with = "text")]
        floor: Position,
    },
    /// This process was told of a later change of the key, which L2 has not taken yet, or
    /// has lost.
    Owed {
        /// The change.
        #[serde(serialize_with = "text")]
        floor: Position,
    },
    /// The value cannot be read here.
    Undecodable {
        /// Why.
        why: &'static str,
    },
    /// It does not reach as far as was asked for.
    NotThatFar,
    /// It was loaded longer ago than was asked for.
    TooOld,
}

impl From<Unfit> for Reason {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::NotHeld => Self::NotHeld,
            Unfit::Expired => Self::Expired,
            Unfit::Fenced => Self::FenceMoved,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = match self {
            Self::SwitchedOff => "it is switched off in this process",
            Self::NotTrusted => "this process is not sure to hear of changes",
            Self::NotHeld => "it holds nothing of the key",
            Self::FenceMoved => "the key, or one of its stripe, was invalidated since",
            Self::Expired => "it has expired, and is served only if the source is slow or fails",
            Self::Ended => "it has expired, and may not be served any longer",
            Self::TagUnknown { tag } => {
                return write!(f, "L2 is asked for the floor of its tag {tag}");
            }
            Self::TagFloor { tag, stamp, floor } => {
                return write!(
                    f,
                    "its tag {tag} is stamped {stamp}, below the floor {floor}"
                );
            }
            Self::TagBehind { bucket } => {
                return write!(f, "bucket {} of one of its tags has lost writes", bucket.0);
            }
            Self::Unreachable => "it did not answer",
            Self::NoWatermark => "the bucket has no watermark",
            Self::BucketBehind => "the bucket is behind what was heard: it has lost writes",
            Self::Absent => "it holds nothing of the key",
            Self::NotARecord => "it holds bytes that are no record",
            Self::Marked { floor } => {
                return write!(
                    f,
                    "a mark: it was invalidated, or its load failed; floor {floor}"
                );
            }
            Self::Leased { floor } => {
                return write!(f, "a mark: another loads it, or writes it; floor {floor}");
            }
            Self::BelowBucketFloor { floor } => {
                return write!(f, "it is below the floor of its bucket, {floor}");
            }
            Self::Owed { floor } => {
                return write!(f, "L2 lacks a change that was heard here, {floor}");
            }
            Self::Undecodable { why } => return write!(f, "it cannot be read: {why}"),
            Self::NotThatFar => "it does not reach as far as was asked for",
            Self::TooOld => "it was loaded longer ago than was asked for",
        };
        f.write_str(plain)
    }
}

/// Serializes what people read, as people read it.
pub(crate) fn text<S: Serializer>(it: &impl fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(it)
}

/// Serializes a bucket's number.
pub(crate) fn number<S: Serializer>(bucket: &Bucket, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u8(bucket.0)
}
