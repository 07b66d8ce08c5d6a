//! The look into L2, and the lease when it holds nothing that may be served.

use super::reason::Reason;
use super::{Ask, Attempt, Served, Tiers};
use crate::domain::Domain;
use crate::event::{CacheId, Event, LeaseOutcome, Tier};
use crate::model::entry::{Entry, Stamp};
use crate::model::key::{Address, Bucket};
use crate::model::position::Position;
use crate::tier::l1::Held;
use crate::tier::tags::{Admission, Reach};
use crate::tier::{Leased, Reading, Record, Seen, Token};
use crate::wire::envelope::{self, Label, Unreadable};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// The first and the longest pause between two looks at what another loads.
const POLL_MIN: Duration = Duration::from_millis(2);
const POLL_MAX: Duration = Duration::from_millis(50);
/// How often a value may come and go between our read and our lease before the
/// reader takes the source instead.
const TURNS_MAX: u32 = 8;

/// What a look into L2 ended with.
#[derive(Debug)]
pub(crate) enum Probe<V> {
    /// A value that may be served.
    Found(Served<V>),
    /// Nothing, and the right to load.
    Granted(Grant),
    /// Nothing, and another loads, for at most this much longer.
    Busy(Duration),
    /// L2 cannot be asked or believed: whoever loads stores nothing.
    NoLease,
}

/// The right to load one key. Given back when dropped unused.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) token: Token,
    /// The as-of of a value read from the primary from here on.
    pub(crate) as_of: Position,
    /// The smallest as-of that L2 will store.
    pub(crate) floor: Position,
    domain: Arc<Domain>,
    address: Address,
    spent: bool,
    cache: CacheId,
    /// Whether it was granted, and nobody was told of its end: each grant has one.
    is_open: bool,
}

/// A value of L2 that may be served, if its tags allow it.
pub(crate) struct Weighed {
    pub(crate) entry: Entry<Bytes>,
    /// What it counts in L1, in bytes.
    encoded: usize,
    /// Whether its lifetime has ended.
    pub(crate) is_expired: bool,
    /// When it was looked at.
    wall_ms: u64,
}

/// What a reading is worth.
pub(crate) enum Worth<V> {
    Good(Arc<Held<V>>),
    /// A value that has only expired.
    Expired(Arc<Held<V>>),
    /// A value that will do for others, with this as-of: it stays while it is replaced.
    TooOld(Position),
    /// Nothing usable; a value with this as-of was turned down.
    Nothing(Option<Position>),
    /// The bucket cannot be believed.
    Distrusted,
}

impl<V: Send + Sync + 'static> Tiers<V> {
    /// Looks into L2; takes the lease on a miss, or waits for who holds it, and then says
    /// that it `waits`.
    pub(crate) async fn probe(&self, attempt: &Attempt, ask: &Ask, waits: impl Fn()) -> Probe<V> {
        let clock = self.domain.clock();
        let wait = match ask.is_strict() {
            // What another loads may have been read before this call.
            true => Duration::ZERO,
            false => ask.wait.unwrap_or(self.policy.wait),
        };
        let give_up = clock.now().after(wait);
        let mut pause = POLL_MIN;
        let mut turns = 0;
        loop {
            let Some(reading) = self.read(attempt).await else {
                return Probe::NoLease;
            };
            let seen = match self.examine(attempt, ask, reading).await {
                Worth::Good(held) => {
                    self.keep(attempt, &held);
                    let now = clock.now();
                    return Probe::Found(Served {
                        age: held.age(now),
                        held,
                        tier: Tier::L2,
                        found: now,
                    });
                }
                Worth::Expired(held) => {
                    // Whoever finds the load slow looks for it there.
                    self.keep(attempt, &held);
                    Seen::Expired(held.entry.as_of)
                }
                Worth::TooOld(as_of) => Seen::Expired(as_of),
                Worth::Nothing(None) => Seen::Nothing,
                Worth::Nothing(Some(refused)) => Seen::Refused(refused),
                Worth::Distrusted => return Probe::NoLease,
            };
            match self.lease(attempt, seen).await {
                Leasing::Granted(grant) => return Probe::Granted(grant),
                Leasing::Busy(remaining) => {
                    if clock.now() >= give_up {
                        return Probe::Busy(remaining);
                    }
                    waits();
                    tokio::time::sleep(pause.min(remaining.max(POLL_MIN))).await;
                    pause = (pause * 2).min(POLL_MAX);
                }
                Leasing::Present if turns < TURNS_MAX => turns += 1,
                Leasing::Present | Leasing::None => return Probe::NoLease,
            }
        }
    }

    /// Reads L2, if it is there and not switched off.
    pub(crate) async fn read(&self, attempt: &Attempt) -> Option<Reading> {
        if !self.switches.l2() {
            return None;
        }
        self.domain.remote().read(&attempt.address).await.ok()
    }

    /// What a reading is worth to a reader; it changes nothing in L2 and in L1.
    pub(crate) async fn examine(&self, attempt: &Attempt, ask: &Ask, reading: Reading) -> Worth<V> {
        let bucket = attempt.address.bucket;
        let as_of = match &reading.record {
            Some(Record::Value { as_of, .. }) => Some(*as_of),
            Some(Record::Mark { .. }) | None => None,
        };
        let weighed = match self.weigh(attempt, &reading) {
            Ok(weighed) => weighed,
            Err(Reason::NoWatermark | Reason::BucketBehind) => {
                self.behind(bucket);
                return Worth::Distrusted;
            }
            Err(reason) => {
                self.learn(bucket, &reading);
                match reason {
                    // The lease finds it below the floor as well.
                    Reason::BelowBucketFloor { .. } => return Worth::Nothing(None),
                    Reason::NotARecord => self.undecodable("not a record"),
                    Reason::Undecodable { why } => self.undecodable(why),
                    _ => {}
                }
                return Worth::Nothing(as_of);
            }
        };
        self.learn(bucket, &reading);
        if !self.tags_admit(&weighed.entry.stamps, Reach::Known).await {
            return Worth::Nothing(as_of);
        }
        match self.value_of(ask, weighed) {
            Ok((entry, encoded, true)) => Worth::Expired(self.held(attempt, entry, encoded)),
            Ok((entry, encoded, false)) => Worth::Good(self.held(attempt, entry, encoded)),
            Err((as_of, Reason::NotThatFar | Reason::TooOld)) => Worth::TooOld(as_of),
            Err((as_of, reason)) => {
                if let Reason::Undecodable { why } = reason {
                    self.undecodable(why);
                }
                Worth::Nothing(Some(as_of))
            }
        }
    }

    /// A bucket that is believed says how far it is.
    fn learn(&self, bucket: Bucket, reading: &Reading) {
        if let Some(watermark) = &reading.watermark {
            self.domain.horizon().raise(bucket, watermark.applied);
        }
    }

    /// Whether a reading has a value that may be served, if its tags allow it.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn weigh(&self, attempt: &Attempt, reading: &Reading) -> Result<Weighed, Reason> {
        let Some(watermark) = &reading.watermark else {
            return Err(Reason::NoWatermark);
        };
        let horizon = self.domain.horizon();
        if !horizon.keeps(attempt.address.bucket, watermark) {
            return Err(Reason::BucketBehind);
        }
        let (as_of, body) = match &reading.record {
            Some(Record::Value { as_of, body }) => (*as_of, body),
            Some(Record::Mark { floor }) => {
                let floor = (*floor).max(watermark.floor);
                return Err(match reading.leased {
                    true => Reason::Leased { floor },
                    false => Reason::Marked { floor },
                });
            }
            None if reading.garbage => return Err(Reason::NotARecord),
            None => return Err(Reason::Absent),
        };
        if as_of < watermark.floor {
            let floor = watermark.floor;
            return Err(Reason::BelowBucketFloor { floor });
        }
        // Also what was owed before the read: L2 may have answered it, then taken the
        // change, and the word that it has may have been faster than the answer.
        let owed = self.domain.owed();
        let owed = owed.floor(attempt.hash, self.domain.clock().now());
        let floor = owed.max(attempt.owed);
        if as_of < floor {
            return Err(Reason::Owed { floor });
        }
        let opened = envelope::open(self.label(attempt), as_of, body);
        let mut entry = opened.map_err(|why| Reason::Undecodable {
            why: unreadable(why),
        })?;
        entry.ttl = self.switches.within_cap(entry.ttl);
        let wall_ms = self.domain.clock().wall_ms();
        let stale_ttl = self.policy.lifetime.stale_ttl;
        if entry.remaining_stale(wall_ms, stale_ttl).is_zero() {
            return Err(Reason::Ended);
        }
        Ok(Weighed {
            is_expired: entry.remaining(wall_ms).is_zero(),
            encoded: self.codec.size(body),
            entry,
            wall_ms,
        })
    }

    /// The value that was found, what it counts in L1, and whether it has only expired.
    ///
    /// # Errors
    /// Its as-of, and why it is not what was asked for, or cannot be read.
    pub(crate) fn value_of(
        &self,
        ask: &Ask,
        weighed: Weighed,
    ) -> Result<(Entry<V>, usize, bool), (Position, Reason)> {
        let Weighed { entry, wall_ms, .. } = weighed;
        let as_of = entry.as_of;
        if as_of < ask.at_least {
            return Err((as_of, Reason::NotThatFar));
        }
        if !ask.takes(entry.stored_ms, || wall_ms) {
            return Err((as_of, Reason::TooOld));
        }
        let decoded = entry.try_map(|bytes| self.codec.decode(&bytes));
        let entry = decoded.map_err(|_| {
            let why = "the codec refused it";
            (as_of, Reason::Undecodable { why })
        })?;
        Ok((entry, weighed.encoded, weighed.is_expired))
    }

    /// How far a value must reach, to be stored, and not to be older than what this
    /// process has heard. Only L2 knows the key's own floor; without it, the highest
    /// change of the bucket stands for it.
    pub(crate) fn reach(&self, attempt: &Attempt, grant: Option<&Grant>) -> Position {
        let owed = self.domain.owed();
        let owed = owed.floor(attempt.hash, self.domain.clock().now());
        let floor = match grant {
            Some(grant) => grant.floor,
            None => attempt.known.applied(attempt.address.bucket),
        };
        floor.max(owed)
    }

    pub(super) async fn lease(&self, attempt: &Attempt, seen: Seen) -> Leasing {
        if !self.switches.l2() {
            return Leasing::None;
        }
        let token = Token(self.domain.random().next());
        let remote = self.domain.remote();
        // Made before it is granted: if the answer is lost, or the caller goes away
        // before it comes, the lease is given back all the same.
        let mut grant = Grant {
            token,
            as_of: Position::ZERO,
            floor: Position::ZERO,
            domain: self.domain.clone(),
            address: attempt.address.clone(),
            spent: false,
            cache: self.id,
            is_open: false,
        };
        let leased = remote
            .lease(&attempt.address, token, self.policy.lease, seen)
            .await;
        let leasing = match leased {
            Ok(Leased::Granted { as_of, floor }) => {
                self.leased(LeaseOutcome::Granted);
                (grant.as_of, grant.floor) = (as_of, floor);
                grant.is_open = true;
                return Leasing::Granted(grant);
            }
            Err(_) => return Leasing::None,
            Ok(Leased::Busy { remaining }) => {
                self.leased(LeaseOutcome::Busy);
                Leasing::Busy(remaining)
            }
            Ok(Leased::Present) => Leasing::Present,
            Ok(Leased::NoWatermark) => Leasing::None,
        };
        grant.spend();
        leasing
    }

    /// Whether the tags of a value that is not in L1 allow it.
    pub(crate) async fn tags_admit(&self, stamps: &[Stamp], reach: Reach) -> bool {
        let believe = self.domain.trust().holds(self.domain.clock().now());
        match self.tags.admits(stamps, reach, believe).await {
            Admission::Admitted => true,
            Admission::Refused => false,
            Admission::Behind(bucket) => {
                self.behind(bucket);
                false
            }
        }
    }

    /// A bucket is behind what this process heard: it is not believed, and mended.
    fn behind(&self, bucket: Bucket) {
        self.observe(Event::BucketBehind { bucket });
        self.domain.report_behind(bucket);
    }

    pub(crate) fn label(&self, attempt: &Attempt) -> Label {
        Label {
            codec: self.codec.id(),
            fingerprint: self.codec.fingerprint(),
            key: attempt.hash,
        }
    }

    fn leased(&self, outcome: LeaseOutcome) {
        self.observe(Event::Lease {
            cache: self.id,
            outcome,
        });
    }

    fn undecodable(&self, why: &'static str) {
        self.observe(Event::Undecodable {
            cache: self.id,
            why,
        });
    }
}

/// The answer to one request for a lease.
pub(super) enum Leasing {
    Granted(Grant),
    Busy(Duration),
    Present,
    None,
}

impl Grant {
    /// The lease is used up: L2 has taken the value or refused it.
    pub(crate) fn spend(mut self) {
        self.spent = true;
    }

    /// Tells how it ended.
    pub(super) fn ended(&mut self, outcome: LeaseOutcome) {
        self.is_open = false;
        let cache = self.cache;
        let observer = self.domain.observer();
        observer.observe(&Event::Lease { cache, outcome });
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if self.is_open {
            self.ended(LeaseOutcome::Released);
        }
        if self.spent {
            return;
        }
        let (remote, address, token) = (
            self.domain.remote().clone(),
            self.address.clone(),
            self.token,
        );
        self.domain.finish(async move {
            // Without an answer the lease ends by itself.
            let _ = remote.release(&address, token).await;
        });
    }
}

fn unreadable(why: Unreadable) -> &'static str {
    match why {
        Unreadable::Version => "another format version",
        Unreadable::Codec => "another codec, type or schema",
        Unreadable::Key => "another key's value",
        Unreadable::Shape => "cut off or not an envelope",
        Unreadable::Checksum => "the checksum does not fit",
    }
}
