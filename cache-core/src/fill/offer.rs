//! The offer of a loaded value: to L2 first, and to L1 only what L2 accepted.

use super::probe::Grant;
use super::{Attempt, Tiers};
use crate::error::{Error, Kind};
use crate::event::{Event, LeaseOutcome, Tier};
use crate::model::as_of::AsOf;
use crate::model::entry::{Entry, Stamp};
use crate::model::lifetime::{TTL_MAX, UNKNOWN_TTL_MAX};
use crate::model::position::Position;
use crate::model::tag::{TAGS_MAX, Tag};
use crate::source::{Loaded, VALIDATOR_LEN_MAX};
use crate::tier::l1::Held;
use crate::tier::tags::Reach;
use crate::tier::{Filled, Offer};
use crate::wire::envelope;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// What became of a value offered to the cache. The caller has its value either
/// way; only [`FillOutcome::Stored`] is kept for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FillOutcome {
    /// Stored, with this as-of.
    Stored(Position),
    /// An invalidation came after the lease; the value may be old.
    Superseded,
    /// There was no lease, it ran out, or an invalidation took it of which this process has
    /// not heard yet.
    LeaseLost,
    /// Such a value is not kept: an absence of unknown age, or a lifetime of zero.
    NotKept,
    /// L2 could not be reached.
    Unreachable,
}

impl<V: Send + Sync + 'static> Tiers<V> {
    /// Offers what was loaded under a lease. Returns the entry, kept or not.
    ///
    /// # Errors
    /// [`Kind::Encode`] or [`Kind::Invalid`] for a value that cannot be stored;
    /// the lease is given back.
    pub(crate) async fn offer(
        &self,
        attempt: &Attempt,
        grant: Option<Grant>,
        loaded: Loaded<V>,
        ttl: Option<Duration>,
    ) -> Result<(Arc<Held<V>>, FillOutcome), Error> {
        let as_of = loaded.as_of;
        let keep = loaded.keep;
        let body = self.encode_some(&loaded)?;
        let granted = grant.as_ref().map_or(Position::ZERO, |grant| grant.as_of);
        let mut entry = self.entry(attempt, loaded, granted, ttl)?;
        let not_kept =
            !keep || entry.ttl.is_zero() || as_of == AsOf::Unknown && entry.value.is_none();
        let outcome = match grant {
            _ if not_kept => FillOutcome::NotKept,
            None => FillOutcome::LeaseLost,
            Some(grant) => self.offer_to_l2(attempt, grant, &entry, as_of, &body).await,
        };
        if let FillOutcome::Stored(as_of) = outcome {
            entry.as_of = as_of;
        }
        let held = self.held(attempt, entry, self.codec.size(&body));
        if let FillOutcome::Stored(stored) = outcome
            && self.vouches(attempt, as_of, stored)
        {
            self.keep(attempt, &held);
        }
        Ok((held, outcome))
    }

    /// Whether what L2 stored may go into L1 at once. A value from the primary may:
    /// it holds all that this process knew before it was read. For a replica's value
    /// L2's floor vouches, and L2 may just have lost it:
    ///
    /// 1. this process hears of change 27, and a replica is still at 26
    /// 2. L2 fails over and forgets the floor 27
    /// 3. L2 takes the fill as of 26, which this process must not serve
    ///
    /// Read back from L2, the value is as good as its bucket's watermark.
    fn vouches(&self, attempt: &Attempt, read_at: AsOf, stored: Position) -> bool {
        match read_at {
            AsOf::Position(_) => stored >= attempt.known.applied(attempt.address.bucket),
            AsOf::Leased | AsOf::Unknown => true,
        }
    }

    fn encode_some(&self, loaded: &Loaded<V>) -> Result<Bytes, Error> {
        let encoded = loaded.value.as_ref().map(|value| self.encode(value));
        encoded.unwrap_or_else(|| Ok(Bytes::new()))
    }

    /// The bytes of a value, within the policy's limit.
    pub(crate) fn encode(&self, value: &V) -> Result<Bytes, Error> {
        let name = self.policy.name.as_str();
        let body = self
            .codec
            .encode(value)
            .map_err(|error| Error::new(Kind::Encode, "encoding a value", name).because(error.0))?;
        let most = self.policy.value_bytes_max;
        if body.len() > most {
            return Err(
                Error::new(Kind::Invalid, "storing a value", name).hint(format!(
                    "it has {} bytes, and the policy's `value_bytes_max` is {most}",
                    body.len()
                )),
            );
        }
        Ok(body)
    }

    fn entry(
        &self,
        attempt: &Attempt,
        loaded: Loaded<V>,
        granted: Position,
        ttl: Option<Duration>,
    ) -> Result<Entry<V>, Error> {
        let error = || Error::new(Kind::Invalid, "storing a value", self.policy.name.as_str());
        if loaded.is_unchanged {
            return Err(error().hint("only a loader that was shown a value can say `unchanged`"));
        }
        let drawn = self
            .policy
            .lifetime
            .draw(loaded.value.is_none(), self.domain.random().share());
        let ttl = ttl.or(loaded.ttl).unwrap_or(drawn).min(TTL_MAX);
        let ttl = self.switches.within_cap(ttl);
        let ttl = match loaded.as_of {
            AsOf::Unknown => ttl.min(UNKNOWN_TTL_MAX),
            _ => ttl,
        };
        let mut tags = loaded.tags;
        tags.sort_unstable();
        tags.dedup();
        if tags.len() > TAGS_MAX {
            let hint = format!("it has {} tags, {TAGS_MAX} are allowed", tags.len());
            return Err(error().hint(hint));
        }
        let validator_len = loaded.validator.as_ref().map_or(0, Bytes::len);
        if validator_len > VALIDATOR_LEN_MAX {
            return Err(error().hint(format!(
                "its validator has {validator_len} bytes, {VALIDATOR_LEN_MAX} are allowed"
            )));
        }
        // What this process knew before it read the primary, the primary held. A
        // replica may be behind that; if it is ahead, a local change of the tag that
        // comes next would not be above it.
        let stamp = |tag: Tag| {
            let known = attempt.known.as_of(self.space.tag_hash(&tag).bucket());
            let as_of = match loaded.as_of {
                AsOf::Position(position) => position.min(Position { tick: 0, ..known }),
                AsOf::Leased | AsOf::Unknown => known,
            };
            Stamp { tag, as_of }
        };
        Ok(Entry {
            value: loaded.value,
            as_of: match loaded.as_of {
                AsOf::Position(position) => position,
                AsOf::Leased | AsOf::Unknown => granted,
            },
            stamps: std::iter::once(Tag::all()).chain(tags).map(stamp).collect(),
            stored_ms: self.domain.clock().wall_ms(),
            ttl,
            validator: loaded.validator,
            fleeting: loaded.as_of == AsOf::Unknown,
        })
    }

    async fn offer_to_l2(
        &self,
        attempt: &Attempt,
        mut grant: Grant,
        entry: &Entry<V>,
        as_of: AsOf,
        body: &Bytes,
    ) -> FillOutcome {
        // A tag may have been invalidated during the load; then nobody would be
        // served this value, and the lease is better given back.
        let reach = match as_of {
            AsOf::Position(_) => Reach::Replica,
            AsOf::Leased | AsOf::Unknown => Reach::Known,
        };
        if !self.tags_admit(&entry.stamps, reach).await {
            grant.ended(LeaseOutcome::Superseded);
            return FillOutcome::Superseded;
        }
        let sealed = envelope::seal(self.label(attempt), &bytes_of(entry, body));
        let offer = Offer {
            token: Some(grant.token),
            as_of: match as_of {
                AsOf::Position(position) => Some(position),
                AsOf::Leased | AsOf::Unknown => None,
            },
            body: sealed,
            ttl: self.kept(entry),
        };
        let granted = grant.as_of;
        let filled = self.domain.remote().fill(&attempt.address, offer).await;
        let is_used_up = filled.is_ok();
        let (lease, outcome) = match filled {
            Ok(Filled::Stored { as_of }) => {
                self.observe(Event::Put {
                    cache: self.id,
                    tier: Tier::L2,
                });
                (LeaseOutcome::Filled, FillOutcome::Stored(as_of))
            }
            Ok(Filled::Superseded { .. }) => (LeaseOutcome::Superseded, FillOutcome::Superseded),
            // An invalidation takes the lease with it, and L2 remembers none of that.
            Ok(Filled::LeaseLost) if self.told_of(attempt) > granted => {
                (LeaseOutcome::Superseded, FillOutcome::Superseded)
            }
            Ok(Filled::LeaseLost) => (LeaseOutcome::Lost, FillOutcome::LeaseLost),
            Err(_) => (LeaseOutcome::Lost, FillOutcome::Unreachable),
        };
        grant.ended(lease);
        if is_used_up {
            grant.spend();
        }
        outcome
    }

    /// The highest invalidation of the key that this process remembers.
    fn told_of(&self, attempt: &Attempt) -> Position {
        let now = self.domain.clock().now();
        self.domain.owed().floor(attempt.hash, now)
    }

    /// The envelope of a value that was not loaded under a lease, and how long L2 keeps it.
    ///
    /// # Errors
    /// As [`Tiers::offer`].
    pub(crate) fn seal(
        &self,
        attempt: &Attempt,
        loaded: Loaded<V>,
        ttl: Option<Duration>,
    ) -> Result<(Bytes, Duration), Error> {
        let body = self.encode_some(&loaded)?;
        let entry = self.entry(attempt, loaded, Position::ZERO, ttl)?;
        let sealed = envelope::seal(self.label(attempt), &bytes_of(&entry, &body));
        Ok((sealed, self.kept(&entry)))
    }

    /// How long L2 keeps an entry.
    fn kept(&self, entry: &Entry<V>) -> Duration {
        entry.kept(self.policy.lifetime.stale_ttl)
    }

    /// Stores a value without a lease, as far as the policy allows it.
    ///
    /// # Errors
    /// As [`Tiers::offer`].
    pub(crate) async fn set(
        &self,
        attempt: &Attempt,
        loaded: Loaded<V>,
        ttl: Option<Duration>,
    ) -> Result<FillOutcome, Error> {
        let as_of = match loaded.as_of {
            AsOf::Position(position) => Some(position),
            AsOf::Leased | AsOf::Unknown => None,
        };
        let (body, ttl) = self.seal(attempt, loaded, ttl)?;
        let offer = Offer {
            token: None,
            as_of,
            body,
            ttl,
        };
        Ok(
            match self.domain.remote().fill(&attempt.address, offer).await {
                Ok(Filled::Stored { as_of }) => FillOutcome::Stored(as_of),
                Ok(Filled::Superseded { .. }) => FillOutcome::Superseded,
                Ok(Filled::LeaseLost) => FillOutcome::LeaseLost,
                Err(_) => FillOutcome::Unreachable,
            },
        )
    }
}

/// The entry with its encoded value in place of the value.
fn bytes_of<V>(entry: &Entry<V>, body: &Bytes) -> Entry<Bytes> {
    Entry {
        value: entry.value.is_some().then(|| body.clone()),
        as_of: entry.as_of,
        stamps: entry.stamps.clone(),
        stored_ms: entry.stored_ms,
        ttl: entry.ttl,
        validator: entry.validator.clone(),
        fleeting: entry.fleeting,
    }
}
