//! Messages become the words of cache-core, checked once, and back.

use crate::failure::{Failure, Reason};
use crate::proto::v1;
use bytes::Bytes;
use cache_core::event::Tier;
use cache_core::model::key::KEY_LEN_MAX;
use cache_core::model::tag::TAGS_MAX;
use cache_core::{AsOf, FillOutcome, Hit, Loaded, Position, SetOutcome, Tag};
use std::time::Duration;

/// The longest time to live a caller may ask for: the policies' own limit.
const TTL_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// How one value is to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// The time to live; `None` is the policy's.
    pub ttl: Option<Duration>,
    tags: Vec<Tag>,
    as_of: AsOf,
}

impl Keeping {
    /// Reads the options of a message.
    ///
    /// # Errors
    /// [`Reason::BadTtl`] and [`Reason::BadTag`] outside the limits.
    pub fn of(options: Option<v1::StoreOptions>) -> Result<Self, Failure> {
        let Some(options) = options else {
            return Ok(Self::default());
        };
        let read_at = options.read_at.map(|read_at| match read_at {
            v1::store_options::ReadAt::Position(position) => AsOf::Position(position.into()),
            v1::store_options::ReadAt::Unknown(_) => AsOf::Unknown,
        });
        Ok(Self {
            ttl: options
                .ttl
                .map(|span| ttl(span, "options.ttl"))
                .transpose()?,
            tags: tags(&options.tags, TAGS_MAX, "options.tags")?,
            as_of: read_at.unwrap_or_default(),
        })
    }

    /// A value, or an absence, that is to be kept like this.
    pub fn loaded(self, value: Option<Bytes>) -> Loaded<Bytes> {
        Loaded::from(value.map(|value| own(&value)))
            .read_at(self.as_of)
            .tagged(self.tags)
    }
}

/// A copy, to be kept. Bytes of a message are a part of its buffer: kept as they are, one
/// small value would keep the megabytes that came with it.
pub fn own(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// Checks a key.
///
/// # Errors
/// [`Reason::KeyEmpty`] and [`Reason::KeyTooLong`].
pub fn key(bytes: &[u8]) -> Result<(), Failure> {
    match bytes.len() {
        0 => Err(Failure::new(Reason::KeyEmpty, "the key has no bytes").at("key")),
        1..=KEY_LEN_MAX => Ok(()),
        size => {
            let message = format!("the key has {size} bytes; the limit is {KEY_LEN_MAX}");
            Err(Failure::new(Reason::KeyTooLong, message)
                .at("key")
                .with("limit", KEY_LEN_MAX)
                .with("size", size))
        }
    }
}

/// Checks a value against the limit of its cache.
///
/// # Errors
/// [`Reason::ValueTooLarge`].
pub fn value(bytes: &[u8], most: usize) -> Result<(), Failure> {
    let size = bytes.len();
    if size <= most {
        return Ok(());
    }
    let message = format!("the value has {size} bytes; `value_bytes_max` of the cache is {most}");
    Err(Failure::new(Reason::ValueTooLarge, message)
        .at("value")
        .with("limit", most)
        .with("size", size))
}

/// Reads a list of tags.
///
/// # Errors
/// [`Reason::BadTag`] for one outside its limits, or more than `most`.
pub fn tags(texts: &[String], most: usize, field: &'static str) -> Result<Vec<Tag>, Failure> {
    let bad = |message: String| Failure::new(Reason::BadTag, message).at(field);
    if texts.len() > most {
        return Err(bad(format!(
            "there are {} tags; the limit is {most}",
            texts.len()
        )));
    }
    let tags = texts
        .iter()
        .map(|text| Tag::new(text).map_err(|error| bad(error.to_string())));
    tags.collect()
}

/// Reads a length of time.
///
/// # Errors
/// [`Reason::BadWait`] for a negative one.
pub fn length(span: prost_types::Duration, field: &'static str) -> Result<Duration, Failure> {
    Duration::try_from(span).map_err(|_| {
        let message = format!("`{field}` is no length of time: it is negative");
        Failure::new(Reason::BadWait, message).at(field)
    })
}

/// Reads a time to live.
///
/// # Errors
/// [`Reason::BadTtl`] outside its limits.
pub fn ttl(span: prost_types::Duration, field: &'static str) -> Result<Duration, Failure> {
    let ttl = Duration::try_from(span).ok();
    let fits = |ttl: &Duration| (Duration::from_millis(1)..=TTL_MAX).contains(ttl);
    ttl.filter(fits)
        .ok_or_else(|| Failure::new(Reason::BadTtl, "a ttl goes from 1 ms to 30 days").at(field))
}

/// A length of time as a message; what does not fit becomes the longest that does.
pub fn span(span: Duration) -> prost_types::Duration {
    let longest = prost_types::Duration {
        seconds: i64::MAX,
        nanos: 0,
    };
    prost_types::Duration::try_from(span).unwrap_or(longest)
}

/// Milliseconds since the Unix epoch as a message.
pub fn timestamp(wall_ms: u64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: i64::try_from(wall_ms / 1_000).unwrap_or(i64::MAX),
        nanos: (wall_ms % 1_000) as i32 * 1_000_000,
    }
}

/// A hit as a message; `reason` is why it is answered if it has expired.
pub fn hit(hit: &Hit<Bytes>, reason: v1::StaleReason) -> v1::get_response::Hit {
    let tier = match hit.tier() {
        Tier::L1 => v1::Tier::L1,
        Tier::L2 => v1::Tier::L2,
        Tier::None => v1::Tier::Source,
    };
    let life = u64::try_from(hit.ttl().as_millis()).unwrap_or(u64::MAX);
    v1::get_response::Hit {
        entry: Some(v1::Entry {
            value: (**hit).clone(),
            as_of: Some(hit.as_of().into()),
            tags: hit.tags().map(|tag| tag.as_str().to_owned()).collect(),
            stored_at: Some(timestamp(hit.stored_ms())),
            expires_at: Some(timestamp(hit.stored_ms().saturating_add(life))),
        }),
        tier: tier.into(),
        stale: reason != v1::StaleReason::Unspecified,
        stale_reason: reason.into(),
        lease: None,
    }
}

/// What became of a fill, as a message.
pub fn filled(outcome: FillOutcome) -> v1::FillResponse {
    let (outcome, as_of) = match outcome {
        FillOutcome::Stored(as_of) => (v1::FillOutcome::Stored, Some(as_of.into())),
        FillOutcome::Superseded => (v1::FillOutcome::Superseded, None),
        FillOutcome::LeaseLost => (v1::FillOutcome::LeaseLost, None),
        FillOutcome::NotKept => (v1::FillOutcome::NotKept, None),
        FillOutcome::Unreachable => (v1::FillOutcome::Unreachable, None),
    };
    v1::FillResponse {
        outcome: outcome.into(),
        as_of,
        session: None,
    }
}

/// What became of a set, as messages say it.
pub fn set(outcome: SetOutcome) -> v1::SetOutcome {
    match outcome {
        SetOutcome::Stored => v1::SetOutcome::Stored,
        SetOutcome::Superseded => v1::SetOutcome::Superseded,
        SetOutcome::Invalidated => v1::SetOutcome::Invalidated,
    }
}

impl From<Position> for v1::Position {
    fn from(position: Position) -> Self {
        Self {
            epoch: position.epoch,
            offset: position.offset,
            tick: position.tick,
        }
    }
}

impl From<v1::Position> for Position {
    fn from(position: v1::Position) -> Self {
        Self::new(position.epoch, position.offset, position.tick)
    }
}
