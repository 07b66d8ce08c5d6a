//! What L2 should hold, read again from the stream before anything else.
//!
//! Redis may lose writes that it has confirmed. Whoever heard of a lost invalidation
//! refuses its bucket until that is mended. But after a power cut nobody is left who
//! heard:
//!
//! 1. an event is applied in L2, carried to every L1, and answered for
//! 2. everything stops at once; L2 comes back from its disk, without the event
//! 3. every process starts anew, and believes the value from before the event
//!
//! Only the stream still knows. Each bucket's `seen` says up to which event everything
//! was done when it was last written, and L2 loses that together with the rest. So the
//! events after the lowest `seen` that were ever given out are announced once more.
//! Where L2 holds them already, that changes nothing.

use crate::batch::Batch;
use crate::decide::decide;
use crate::delivery::Past;
use crate::format::received::Received;
use crate::rules::Rules;
use crate::settings::Repeat;
use cache_core::coherence::announce::Announced;
use cache_core::model::key::{Address, Bucket, Key, KeySpace};
use cache_core::model::position::Position;
use cache_core::tier::{Remote, Watermark};
use cache_core::wire::invalidation::Target;
use cache_core::{Domain, Error, Kind, Name};
use futures_util::future::join_all;

/// The most events that are read again. Beyond, refusing what L2 has costs less than
/// telling it what it should have.
pub const EVENTS_MAX: u64 = 100_000;

/// What recalling came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// The events that were read again.
    pub events: u64,
    /// The buckets whose older values are refused, because nobody can say what they
    /// should hold.
    pub refused: usize,
}

/// The watermark of every bucket; nothing where L2 does not answer, or has none.
pub type Watermarks = Vec<(Bucket, Option<Watermark>)>;

/// Reads all watermarks.
///
/// # Errors
/// L2's, when no part of it answers.
pub async fn watermarks(domain: &Domain) -> Result<Watermarks, Error> {
    watermarks_of(&**domain.remote(), domain.name()).await
}

/// Reads all watermarks of a domain that this process has not joined.
///
/// # Errors
/// As [`watermarks`].
pub async fn watermarks_of(remote: &dyn Remote, domain: &Name) -> Result<Watermarks, Error> {
    let reads = Bucket::all().map(|bucket| {
        // Only the bucket's watermark counts; no record has this name.
        let record = Address::watermark(domain, bucket).into();
        let address = Address { bucket, record };
        async move { (bucket, remote.read(&address).await) }
    });
    let readings = join_all(reads).await;
    if let Some((_, Err(error))) = readings.iter().find(|(_, reading)| reading.is_err())
        && readings.iter().all(|(_, reading)| reading.is_err())
    {
        let error = error.clone();
        return Err(Error::new(Kind::Unavailable, "reading L2", domain.as_str()).because(error));
    }
    let known = readings.into_iter();
    Ok(known
        .map(|(bucket, reading)| (bucket, reading.ok().and_then(|reading| reading.watermark)))
        .collect())
}

/// Announces once more what L2 may have lost of the events that were given out, of
/// which `given` is the last.
///
/// # Errors
/// The stream's or the bus's, when it does not answer.
pub async fn recall(
    domain: &Domain,
    watermarks: &Watermarks,
    rules: &Rules,
    repeat: Repeat,
    past: &dyn Past,
    given: Position,
) -> Result<Recalled, Error> {
    let mut recalled = Recalled::default();
    let mut lowest = given.offset;
    for (bucket, watermark) in watermarks {
        let below = match watermark {
            // Values of another epoch: the database may have gone back.
            Some(held) if held.applied.epoch < given.epoch => Position::new(given.epoch, 0, 0),
            Some(held) => {
                let same = held.seen.epoch == given.epoch;
                lowest = lowest.min(if same { held.seen.offset } else { 0 });
                continue;
            }
            None => given,
        };
        recalled.refused += 1;
        domain.horizon().raise(*bucket, below);
    }
    let mut batch = Batch::new();
    let mut each = |sequence, received: &Received<'_>| {
        recalled.events += 1;
        let position = Position::new(given.epoch, sequence, 0);
        let decision = decide(received, rules);
        for target in &decision.targets {
            batch.add(target, position, None);
            // L2 may have lost the second time as well, with a value from between the two.
            if repeat.takes(decision.is_early) {
                batch.add(target, None, None);
            }
        }
    };
    let whole = match given.offset - lowest {
        0 => true,
        1..=EVENTS_MAX => past.recount(lowest, given.offset, &mut each).await?,
        _ => false,
    };
    if !whole {
        let (from, to) = (lowest, given.offset);
        tracing::warn!(from, to, "too many events to read again, or not all there");
        recalled.refused = Bucket::all().count();
        Bucket::all().for_each(|bucket| domain.horizon().raise(bucket, given));
        return Ok(recalled);
    }
    announce(domain, &batch).await?;
    Ok(recalled)
}

/// Announces everything once. What L2 does not take, its bucket is doubted to have: the
/// heartbeat refuses the bucket's older values as soon as L2 is back, even if L2 took the
/// change late. Who began to listen in between has not heard of it, and holds old values.
async fn announce(domain: &Domain, batch: &Batch) -> Result<(), Error> {
    for changes in batch.announcements() {
        let told = domain.announcer().announce(&changes).await;
        let told = told.map_err(|error| {
            let subject = domain.name().as_str();
            Error::new(Kind::Unavailable, "announcing what L2 lost", subject).because(error)
        })?;
        for (change, told) in changes.iter().zip(told) {
            if let (Announced::NotInL2(_), Some(position)) = (told, change.position())
                && let Some(bucket) = bucket_of(domain, change.target())
            {
                domain.horizon().raise(bucket, position);
                domain.doubt(bucket);
            }
        }
    }
    Ok(())
}

fn bucket_of(domain: &Domain, target: &Target) -> Option<Bucket> {
    let space = |cache: &Name| KeySpace::new(domain.name().clone(), cache.clone());
    match target {
        Target::Key { cache, key } => Some(space(cache).hash(Key::new(key).ok()?).bucket()),
        Target::Tag { cache, tag } => Some(space(cache).tag_hash(tag).bucket()),
        Target::Bucket(bucket) => Some(*bucket),
    }
}
