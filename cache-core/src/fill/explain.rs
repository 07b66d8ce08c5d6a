//! What a read would be answered, and why: for people who look at one key.
//!
//! The reasons are those by which a read decides: they come from the same functions.

use super::reason::{Reason, number, text};
use super::{Ask, Attempt, Tiers};
use crate::model::entry::{Entry, Stamp};
use crate::model::key::{Bucket, Key};
use crate::model::position::Position;
use crate::model::tag::Tag;
use crate::tier::l1::Age;
use crate::tier::tags::Admission;
use crate::tier::{Known, Reading, Record, Watermark};
use serde::Serialize;
use std::fmt;

/// What a read of a key would be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A value of L1.
    HitInL1,
    /// A value of L2.
    HitInL2,
    /// The absence that L1 knows.
    NegativeInL1,
    /// The absence that L2 knows.
    NegativeInL2,
    /// What L1 has and has expired, since its load is slow or failed just before.
    Stale,
    /// Nothing: it would load.
    Miss,
}

/// What a read of a key would be answered, and everything that decides it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The cache.
    pub cache: String,
    /// The key, bytes that are no ASCII escaped.
    pub key: String,
    /// What a read would be answered.
    pub verdict: Verdict,
    /// This process's L1.
    pub l1: InL1,
    /// L2.
    pub l2: InL2,
    /// The key's bucket.
    #[serde(serialize_with = "number")]
    pub bucket: Bucket,
    /// The highest position that this process knows to be applied in the bucket.
    #[serde(serialize_with = "text")]
    pub heard: Position,
    /// The highest heartbeat that this process has heard.
    #[serde(serialize_with = "text")]
    pub beat: Position,
    /// Whether this process loads the key at the moment.
    pub is_loading: bool,
    /// Whether the source is left alone after too many loads failed.
    pub breaker_is_open: bool,
}

/// What L1 has to say of a key.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct InL1 {
    /// Why it does not answer; nothing if it does.
    pub why_not: Option<Reason>,
    /// Its entry, served or not.
    pub entry: Option<Described>,
    /// The entry's size in the budget of L1, in bytes.
    pub weight: Option<u32>,
}

/// What L2 has to say of a key.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct InL2 {
    /// Why it does not answer; nothing if it does.
    pub why_not: Option<Reason>,
    /// The value's envelope, if it can be read.
    pub entry: Option<Described>,
    /// The value's as-of, or the mark's floor.
    #[serde(serialize_with = "maybe")]
    pub position: Option<Position>,
    /// Whether the record carries a lease or a quarantine, which may have ended.
    pub is_leased: bool,
    /// What the bucket's watermark says was applied.
    #[serde(serialize_with = "maybe")]
    pub applied: Option<Position>,
    /// The heartbeat in it.
    #[serde(serialize_with = "maybe")]
    pub seen: Option<Position>,
    /// Below it, values of the bucket are refused.
    #[serde(serialize_with = "maybe")]
    pub floor: Option<Position>,
    /// The value's tags.
    pub tags: Vec<DescribedTag>,
}

/// An entry without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Described {
    /// Whether it is a known absence.
    pub is_negative: bool,
    /// The position up to which it surely contains every commit.
    #[serde(serialize_with = "text")]
    pub as_of: Position,
    /// How long ago it was stored, in milliseconds by two machines' clocks.
    pub age_ms: u64,
    /// Its lifetime in all, in milliseconds.
    pub ttl_ms: u64,
    /// What is left of its lifetime in this tier, in milliseconds.
    pub remaining_ms: u64,
}

/// A tag of a value in L2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DescribedTag {
    /// The tag.
    #[serde(serialize_with = "text")]
    pub tag: Tag,
    /// How far its bucket was known before the load.
    #[serde(serialize_with = "text")]
    pub stamp: Position,
    /// Its floor, as far as it is known.
    #[serde(serialize_with = "maybe")]
    pub floor: Option<Position>,
}

impl<V: Send + Sync + 'static> Tiers<V> {
    /// Explains a read of a key.
    pub(crate) async fn explain(&self, key: Key<'_>) -> Explanation {
        let ask = Ask::default();
        let attempt = self.attempt(key);
        let found = self.find(attempt.hash, key.bytes(), &ask);
        let (mut l2, is_negative) = self.explain_l2(&attempt, &ask).await;
        if !self.switches.l2() {
            l2.why_not = Some(Reason::SwitchedOff);
        }
        let verdict = match (&found, &l2.why_not, is_negative) {
            (Ok(served), ..) if served.age == Age::Stale => Verdict::Stale,
            (Ok(served), ..) if served.held.entry.value.is_none() => Verdict::NegativeInL1,
            (Ok(_), ..) => Verdict::HitInL1,
            (Err(_), None, true) => Verdict::NegativeInL2,
            (Err(_), None, false) => Verdict::HitInL2,
            (Err(_), Some(_), _) => Verdict::Miss,
        };
        let bucket = attempt.address.bucket;
        let Known { applied, seen } = self.domain.horizon().known(bucket);
        Explanation {
            cache: self.policy.name.as_str().to_owned(),
            key: key.bytes().escape_ascii().to_string(),
            verdict,
            l1: self.explain_l1(&attempt, found.err()),
            l2,
            bucket,
            heard: applied,
            beat: seen,
            is_loading: self.flights.has(key.bytes(), attempt.hash),
            breaker_is_open: self.breaker.is_shut(self.domain.clock().now()),
        }
    }

    fn explain_l1(&self, attempt: &Attempt, why_not: Option<Reason>) -> InL1 {
        let held = self.l1.held(attempt.hash, &attempt.key);
        let now = self.domain.clock().now();
        let entry = held.as_ref().map(|held| Described {
            remaining_ms: held.expires.since(now).as_millis() as u64,
            ..self.describe(&held.entry)
        });
        InL1 {
            why_not,
            entry,
            weight: held.map(|held| held.weight),
        }
    }

    async fn explain_l2(&self, attempt: &Attempt, ask: &Ask) -> (InL2, bool) {
        let Ok(reading) = self.domain.remote().read(&attempt.address).await else {
            let unreachable = Some(Reason::Unreachable);
            return (InL2::of(&Reading::default(), unreachable), false);
        };
        let mut l2 = InL2::of(&reading, None);
        let weighed = match self.weigh(attempt, &reading) {
            Ok(weighed) => weighed,
            Err(reason) => {
                l2.why_not = Some(reason);
                return (l2, false);
            }
        };
        let described = self.describe(&weighed.entry);
        let is_negative = described.is_negative;
        l2.entry = Some(described);
        for stamp in &weighed.entry.stamps {
            let (doubt, tag) = self.explain_tag(stamp).await;
            l2.why_not = l2.why_not.or(doubt);
            l2.tags.push(tag);
        }
        if l2.why_not.is_none() {
            l2.why_not = match self.value_of(ask, weighed) {
                Ok((_, _, true)) => Some(Reason::Expired),
                Ok((_, _, false)) => None,
                Err((_, reason)) => Some(reason),
            };
        }
        (l2, is_negative)
    }

    async fn explain_tag(&self, stamp: &Stamp) -> (Option<Reason>, DescribedTag) {
        let believe = self.domain.trust().holds(self.domain.clock().now());
        let (admission, floor) = self.tags.would_admit(stamp, believe).await;
        let doubt = match (admission, floor) {
            (Admission::Admitted, _) => None,
            (Admission::Behind(bucket), _) => Some(Reason::TagBehind { bucket }),
            (Admission::Refused, Some(floor)) => Some(Reason::TagFloor {
                tag: stamp.tag.clone(),
                stamp: stamp.as_of,
                floor,
            }),
            (Admission::Refused, None) => Some(Reason::Unreachable),
        };
        let described = DescribedTag {
            tag: stamp.tag.clone(),
            stamp: stamp.as_of,
            floor,
        };
        (doubt, described)
    }

    fn describe<T>(&self, entry: &Entry<T>) -> Described {
        let wall_ms = self.domain.clock().wall_ms();
        Described {
            is_negative: entry.value.is_none(),
            as_of: entry.as_of,
            age_ms: wall_ms.saturating_sub(entry.stored_ms),
            ttl_ms: entry.ttl.as_millis() as u64,
            remaining_ms: entry.remaining(wall_ms).as_millis() as u64,
        }
    }
}

impl InL2 {
    fn of(reading: &Reading, why_not: Option<Reason>) -> Self {
        let of = |part: fn(&Watermark) -> Position| reading.watermark.as_ref().map(part);
        Self {
            why_not,
            entry: None,
            position: reading.record.as_ref().map(|record| match record {
                Record::Value { as_of, .. } => *as_of,
                Record::Mark { floor } => *floor,
            }),
            is_leased: reading.leased,
            applied: of(|watermark| watermark.applied),
            seen: of(|watermark| watermark.seen),
            floor: of(|watermark| watermark.floor),
            tags: Vec::new(),
        }
    }
}

impl fmt::Display for Explanation {
    /// A few lines for people; programs read the serialized form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::HitInL1 => "a value, from L1",
            Verdict::HitInL2 => "a value, from L2",
            Verdict::NegativeInL1 => "a known absence, from L1",
            Verdict::NegativeInL2 => "a known absence, from L2",
            Verdict::Stale => "an expired value, from L1",
            Verdict::Miss => "nothing: it would be loaded",
        };
        writeln!(f, "{}/{}: {verdict}", self.cache, self.key)?;
        tier(f, "L1", self.l1.why_not.as_ref(), self.l1.entry.as_ref())?;
        if let Some(weight) = self.l1.weight {
            writeln!(f, "  {weight} bytes")?;
        }
        tier(f, "L2", self.l2.why_not.as_ref(), self.l2.entry.as_ref())?;
        for tag in &self.l2.tags {
            let floor = shown(tag.floor);
            writeln!(f, "  tag {}: stamp {}, floor {floor}", tag.tag, tag.stamp)?;
        }
        if self.l2.is_leased {
            writeln!(
                f,
                "  it carries a lease or a quarantine, which may have ended"
            )?;
        }
        let [applied, seen, floor] = [self.l2.applied, self.l2.seen, self.l2.floor].map(shown);
        let bucket = self.bucket.0;
        writeln!(
            f,
            "bucket {bucket}: applied {applied}, seen {seen}, floor {floor}"
        )?;
        writeln!(
            f,
            "  heard here: applied {}, seen {}",
            self.heard, self.beat
        )?;
        let loading = if self.is_loading { "is" } else { "is not" };
        let breaker = if self.breaker_is_open { "is" } else { "is not" };
        write!(
            f,
            "it {loading} being loaded here; the source {breaker} left alone"
        )
    }
}

fn tier(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    why_not: Option<&Reason>,
    entry: Option<&Described>,
) -> fmt::Result {
    match why_not {
        Some(reason) => writeln!(f, "{name}: does not answer: {reason}")?,
        None => writeln!(f, "{name}: answers")?,
    }
    let Some(entry) = entry else { return Ok(()) };
    let kind = if entry.is_negative {
        "absence"
    } else {
        "value"
    };
    let (age, ttl, left) = (entry.age_ms, entry.ttl_ms, entry.remaining_ms);
    let as_of = entry.as_of;
    writeln!(
        f,
        "  {kind} as of {as_of}, {age} ms old, lives {ttl} ms, {left} ms left"
    )
}

fn shown(position: Option<Position>) -> String {
    position.map_or("unknown".to_owned(), |position| position.to_string())
}

fn maybe<S: serde::Serializer>(position: &Option<Position>, to: S) -> Result<S::Ok, S::Error> {
    match position {
        Some(position) => text(position, to),
        None => to.serialize_none(),
    }
}
