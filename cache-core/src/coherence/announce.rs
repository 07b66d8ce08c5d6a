//! The one way a change goes out: L2 first, then the bus.
//!
//! L2 first, because a process that drops its L1 copy early would refill it from
//! an L2 that still holds the old value.

use crate::bus::BusError;
use crate::coherence::voice::Voice;
use crate::event::{Event, Observer};
use crate::guard::horizon::Horizon;
use crate::model::key::{Address, Bucket, Key, KeySpace, Name};
use crate::model::position::Position;
use crate::model::tag::Tag;
use crate::tier::tags::TAG_KEEP;
use crate::tier::{Applied, Invalidate, MARK_KEEP, Remote, RemoteError};
use crate::wire::invalidation::{Invalidation, Target};
use std::sync::Arc;
use std::time::Duration;

/// The most changes in one call.
pub const ANNOUNCE_MAX: usize = 4096;

/// One change of the source, or one wish to invalidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// A key or a tag: the constructors make nothing else.
    target: Target,
    position: Option<Position>,
    changed_ms: Option<u64>,
}

/// What became of one [`Change`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announced {
    /// L2 has applied it at this position.
    Everywhere(Position),
    /// L2 could not be reached. Announce the same change again.
    NotInL2(String),
}

/// A key that L2 has just been given a newer value of, or has invalidated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The change of the key.
    pub change: Change,
    /// Its local position.
    pub position: Position,
    /// The bucket's new floor, if it had lost changes that were known here.
    pub raised: Option<Position>,
}

/// Applies changes to L2 and tells every process.
#[derive(Debug)]
pub struct Announcer {
    domain: Name,
    remote: Arc<dyn Remote>,
    voice: Arc<Voice>,
    horizon: Arc<Horizon>,
    observer: Arc<dyn Observer>,
}

impl Announcer {
    /// An announcer for one domain.
    pub fn new(
        domain: Name,
        remote: Arc<dyn Remote>,
        voice: Arc<Voice>,
        horizon: Arc<Horizon>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            domain,
            remote,
            voice,
            horizon,
            observer,
        }
    }

    /// Announces changes; the answers come in the order of the request.
    ///
    /// A change that L2 did not take is published all the same: no L1 should wait
    /// for a Redis that is failing over. Readers that heard its position refuse
    /// the bucket until L2 has caught up, and the repeated announcement, due by
    /// the caller, tells everybody once more.
    ///
    /// # Errors
    /// The bus's: nothing counts as announced then; repeat the whole call.
    pub async fn announce(&self, changes: &[Change]) -> Result<Vec<Announced>, BusError> {
        self.run(changes, true).await
    }

    /// Repeats the announcement of changes that L2 did not take: the same step in
    /// L2, while the bus hears only of those that it takes now. Everybody has been
    /// told of the others, and hundreds of repetitions would tell nothing new.
    ///
    /// # Errors
    /// As [`Announcer::announce`].
    pub async fn announce_again(&self, changes: &[Change]) -> Result<Vec<Announced>, BusError> {
        self.run(changes, false).await
    }

    async fn run(&self, changes: &[Change], first: bool) -> Result<Vec<Announced>, BusError> {
        debug_assert!(changes.len() <= ANNOUNCE_MAX);
        let batch: Vec<_> = changes
            .iter()
            .map(|change| self.invalidate(change))
            .collect();
        let buckets: Vec<_> = batch.iter().map(|one| one.address.bucket).collect();
        let applied = self.remote.apply(batch).await;
        let mut told = Vec::with_capacity(changes.len());
        let mut answers = Vec::with_capacity(changes.len());
        for ((change, bucket), applied) in changes.iter().zip(buckets).zip(applied) {
            if let Ok(Applied::Done {
                raised: Some(floor),
                ..
            }) = applied
            {
                told.push(self.raised(bucket, floor));
            }
            let answer = outcome(applied);
            let position = match &answer {
                Announced::Everywhere(position) => {
                    self.horizon.raise(bucket, *position);
                    Some(*position)
                }
                Announced::NotInL2(_) if first => {
                    let position = change.position.unwrap_or_default();
                    // The next change of this bucket must not hide that L2 lacks it.
                    self.horizon.raise(bucket, position);
                    Some(position)
                }
                Announced::NotInL2(_) => None,
            };
            self.observer.observe(&Event::Announced {
                l2: matches!(answer, Announced::Everywhere(_)),
            });
            told.extend(position.map(|position| Invalidation {
                target: change.target.clone(),
                position,
                changed_ms: change.changed_ms,
                in_l2: matches!(answer, Announced::Everywhere(_)),
            }));
            answers.push(answer);
        }
        self.voice.invalidate(&told).await?;
        Ok(answers)
    }

    /// Tells every process of keys that L2 has just been given newer values of, or has
    /// invalidated in the same steps.
    ///
    /// # Errors
    /// The bus's: announce the changes of the keys then.
    pub async fn tell_written(&self, written: &[Told]) -> Result<(), BusError> {
        let mut told = Vec::with_capacity(written.len());
        for one in written {
            let bucket = locate(&self.domain, &one.change.target).0.bucket;
            told.extend(one.raised.map(|floor| self.raised(bucket, floor)));
            self.horizon.raise(bucket, one.position);
            self.observer.observe(&Event::Announced { l2: true });
            told.push(Invalidation {
                target: one.change.target.clone(),
                position: one.position,
                changed_ms: None,
                in_l2: true,
            });
        }
        self.voice.invalidate(&told).await
    }

    /// L2 had lost changes of this bucket that are known here.
    fn raised(&self, bucket: Bucket, floor: Position) -> Invalidation {
        self.observer.observe(&Event::BucketRaised { bucket });
        self.horizon.raise(bucket, floor);
        Invalidation {
            target: Target::Bucket(bucket),
            position: floor,
            changed_ms: None,
            in_l2: true,
        }
    }

    fn invalidate(&self, change: &Change) -> Invalidate {
        let (address, keep) = locate(&self.domain, &change.target);
        Invalidate {
            known: self.horizon.known(address.bucket),
            address,
            position: change.position,
            keep,
        }
    }
}

fn outcome(applied: Result<Applied, RemoteError>) -> Announced {
    match applied {
        Ok(Applied::Done { position, .. }) => Announced::Everywhere(position),
        Ok(Applied::NoWatermark) => {
            Announced::NotInL2("the bucket has no watermark yet".to_owned())
        }
        Ok(Applied::OldEpoch) => Announced::NotInL2(
            "L2 is in a newer epoch than this change; this instance must be started anew"
                .to_owned(),
        ),
        Ok(Applied::TicksExhausted) => Announced::NotInL2(
            "the bucket's local positions are used up; raise the epoch".to_owned(),
        ),
        Err(error) => Announced::NotInL2(error.to_string()),
    }
}

/// Where a target's record lives, and how long its mark is kept.
fn locate(domain: &Name, target: &Target) -> (Address, Duration) {
    match target {
        Target::Key { cache, key } => {
            let space = KeySpace::new(domain.clone(), cache.clone());
            let key = Key::new(key).expect("targets are made of checked keys");
            (space.address(key), MARK_KEEP)
        }
        Target::Tag { cache, tag } => {
            let space = KeySpace::new(domain.clone(), cache.clone());
            (space.tag_address(tag), TAG_KEEP)
        }
        Target::Bucket(_) => unreachable!("a bucket is raised by heartbeats only"),
    }
}

impl Change {
    /// The change of one key; without a position it is a local invalidation.
    pub fn key(cache: &Name, key: Key<'_>, position: Option<Position>) -> Self {
        Self {
            target: Target::Key {
                cache: cache.clone(),
                key: key.bytes().into(),
            },
            position,
            changed_ms: None,
        }
    }

    /// The change of everything with one tag.
    pub fn tag(cache: &Name, tag: Tag, position: Option<Position>) -> Self {
        Self {
            target: Target::Tag {
                cache: cache.clone(),
                tag,
            },
            position,
            changed_ms: None,
        }
    }

    /// The same change, dated: when the source changed, in milliseconds since the
    /// epoch, for measuring lag.
    #[must_use]
    pub fn dated(self, changed_ms: Option<u64>) -> Self {
        Self { changed_ms, ..self }
    }

    /// What changed.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The position in the change stream; `None` for a local invalidation.
    pub fn position(&self) -> Option<Position> {
        self.position
    }
}
