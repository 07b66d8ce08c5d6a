//! Cache-aside: the caller asks, and on a miss loads by itself and fills.

use crate::error::Error;
use crate::event::{Answer, LeaseOutcome, Tier};
use crate::fill::offer::FillOutcome;
use crate::fill::probe::{Grant, Probe};
use crate::fill::run::Load;
use crate::fill::{Ask, Attempt, Flown, Served, Tiers};
use crate::flight::single::{Follow, Lead, Part};
use crate::model::key::Key;
use crate::model::position::Position;
use crate::source::{Cause, Loaded, Wanted};
use crate::tier::l1::{Age, Held};
use futures_util::future::BoxFuture;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// A value in the hands of a caller; it reads like the value itself.
pub struct Hit<V> {
    held: Arc<Held<V>>,
    tier: Tier,
    age: Age,
}

/// What a cache answers.
#[derive(Debug)]
pub enum Lookup<V: Send + Sync + 'static> {
    /// A value.
    Hit(Hit<V>),
    /// The source is known to have none.
    Absent,
    /// Nothing: load, and fill with this ticket. (Large, and on the slow path.)
    Miss(Box<FillTicket<V>>),
}

/// The right and the duty that come with a miss.
///
/// With a lease, this caller is the only one in the fleet to load, and others wait
/// for its fill. Dropping the ticket gives the lease back, and another may load.
pub struct FillTicket<V: Send + Sync + 'static> {
    tiers: Arc<Tiers<V>>,
    attempt: Attempt,
    ask: Ask,
    grant: Option<Grant>,
    lead: Option<Lead<Flown<V>>>,
    retry_after: Duration,
}

impl<V: Send + Sync + 'static> Tiers<V> {
    /// Looks a key up in both tiers.
    pub(crate) async fn get(self: &Arc<Self>, key: Key<'_>, ask: &Ask) -> Lookup<V> {
        if let Some(served) = self.look(self.space.hash(key), key.bytes(), ask) {
            return self.found(served);
        }
        let clock = self.domain.clock();
        let left = clock.now();
        let lookup = match ask.max_staleness {
            // As in `get_or_load`.
            Some(_) => self.get_leading(self.attempt(key), ask, None).await,
            None => self.get_slowly(key, ask).await,
        };
        self.tell_of(&lookup, Some(clock.now().since(left)));
        lookup
    }

    /// What L1 has found, told of.
    fn found(&self, served: Served<V>) -> Lookup<V> {
        let took = self.time(&served, None);
        let tier = served.tier;
        let lookup = served.into();
        match lookup {
            Lookup::Absent => self.got(tier, Answer::Negative, took),
            _ => self.tell_of(&lookup, took),
        }
        lookup
    }

    /// What L1 answers without a wait.
    pub(crate) fn get_at_once(&self, key: Key<'_>) -> Option<Lookup<V>> {
        let served = self.look(self.space.hash(key), key.bytes(), &Ask::default())?;
        Some(self.found(served))
    }

    fn tell_of(&self, lookup: &Lookup<V>, took: Option<Duration>) {
        let (tier, answer) = match lookup {
            Lookup::Hit(hit) if hit.age == Age::Stale => (hit.tier, Answer::Stale),
            Lookup::Hit(hit) => (hit.tier, Answer::Hit),
            Lookup::Absent => (Tier::L2, Answer::Negative),
            Lookup::Miss(_) => (Tier::None, Answer::Miss),
        };
        self.got(tier, answer, took);
    }

    async fn get_slowly(self: &Arc<Self>, key: Key<'_>, ask: &Ask) -> Lookup<V> {
        let give_up = self
            .domain
            .clock()
            .now()
            .after(ask.wait.unwrap_or(self.policy.wait));
        loop {
            let attempt = self.attempt(key);
            let flights = &self.flights;
            match flights.join(&attempt.key, attempt.hash, attempt.since, ask.shares()) {
                Part::Lead(lead) => return self.get_leading(attempt, ask, Some(lead)).await,
                Part::Follow(follow) => {
                    let patience = give_up.since(self.domain.clock().now());
                    match wait(follow, patience).await {
                        Waited::Served(served) => return served.into(),
                        Waited::LeaderGone => {}
                        Waited::InVain => {
                            return self.miss(attempt, ask, None, None, self.policy.wait);
                        }
                    }
                }
                Part::Full => return self.miss(attempt, ask, None, None, self.policy.wait),
            }
        }
    }

    /// Looks further, for those who follow as well if it leads a flight.
    async fn get_leading(
        self: &Arc<Self>,
        attempt: Attempt,
        ask: &Ask,
        lead: Option<Lead<Flown<V>>>,
    ) -> Lookup<V> {
        // L1 again, see `lead` in fill/load.rs.
        let served = match self.look(attempt.hash, &attempt.key, ask) {
            Some(served) => served,
            None => match self.probe(&attempt, ask, || {}).await {
                Probe::Found(served) => served,
                Probe::Granted(grant) => {
                    return self.miss(attempt, ask, Some(grant), lead, Duration::ZERO);
                }
                Probe::Busy(remaining) => return self.miss(attempt, ask, None, None, remaining),
                Probe::NoLease => return self.miss(attempt, ask, None, lead, Duration::ZERO),
            },
        };
        if let Some(lead) = lead {
            lead.finish(Ok(served.clone()));
        }
        served.into()
    }

    pub(super) fn miss(
        self: &Arc<Self>,
        attempt: Attempt,
        ask: &Ask,
        grant: Option<Grant>,
        lead: Option<Lead<Flown<V>>>,
        retry_after: Duration,
    ) -> Lookup<V> {
        Lookup::Miss(Box::new(FillTicket {
            tiers: self.clone(),
            attempt,
            ask: *ask,
            grant,
            lead,
            retry_after,
        }))
    }

    /// Answers from the tiers, or by the caller's own load.
    ///
    /// # Errors
    /// The load's.
    pub(crate) async fn get_or_load_hit(
        self: &Arc<Self>,
        key: Key<'_>,
        ask: &Ask,
        load: Load<V>,
    ) -> Result<Option<Hit<V>>, Error> {
        let served = self.get_or_load(key, ask, load).await?;
        Ok(Hit::of(served))
    }
}

/// A caller's closure as a load of one key.
pub(crate) fn alone<V: 'static, F, Fut, L, E>(load: F) -> Load<V>
where
    F: FnOnce(Wanted<V>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<L, E>> + Send,
    L: Into<Loaded<V>>,
    E: Into<Cause>,
{
    Load::Alone(Box::new(move |wanted| {
        let loading = async move { load(wanted).await.map(Into::into).map_err(Into::into) };
        Box::pin(loading) as BoxFuture<'static, _>
    }))
}

enum Waited<V> {
    Served(Served<V>),
    LeaderGone,
    InVain,
}

async fn wait<V: Send + Sync + 'static>(follow: Follow<Flown<V>>, patience: Duration) -> Waited<V> {
    match tokio::time::timeout(patience, follow.wait()).await {
        Ok(Some(Ok(served))) => Waited::Served(served),
        Ok(None) => Waited::LeaderGone,
        // The leader's error is not this caller's: it may load by itself.
        Ok(Some(Err(_))) | Err(_) => Waited::InVain,
    }
}

impl<V: Send + Sync + 'static> FillTicket<V> {
    /// Whether this caller holds the lease. Without it, load for yourself: the
    /// fill stores nothing, because another loads or L2 is away.
    pub fn has_lease(&self) -> bool {
        self.grant.is_some()
    }

    /// When asking again makes sense, for a caller without the lease.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }

    /// Nobody came back with a value in the lease's time: it is given back, and counted as one
    /// that ran out.
    pub fn ran_out(mut self) {
        if let Some(grant) = &mut self.grant {
            grant.ended(LeaseOutcome::Lost);
        }
    }

    /// A number that names the lease, for callers in other processes.
    pub fn token(&self) -> Option<u64> {
        self.grant.as_ref().map(|grant| grant.token.0)
    }

    /// The position that a value read from here on surely contains.
    pub fn as_of(&self) -> Option<Position> {
        self.grant.as_ref().map(|grant| grant.as_of)
    }

    /// How far the value must reach to be stored, not to be older than what this process
    /// has heard, and to be what was asked for. A replica that has not come this far is no
    /// use.
    pub fn at_least(&self) -> Position {
        let reach = self.tiers.reach(&self.attempt, self.grant.as_ref());
        reach.max(self.ask.at_least)
    }

    /// Whether what was asked for takes no value from a replica, however far it is.
    pub fn wants_primary(&self) -> bool {
        self.ask.wants_primary()
    }

    /// A value that has only expired, for a caller whose own load is slow or fails. It
    /// reaches as far as was asked for.
    pub fn stale(&self) -> Option<Hit<V>> {
        let Attempt { hash, key, .. } = &self.attempt;
        let ask = Ask::at_least(self.ask.at_least);
        let served = self.tiers.look_stale(*hash, key, &ask)?;
        Hit::of(served)
    }

    /// Ends the lease with what was loaded.
    ///
    /// # Errors
    /// [`crate::Kind::Encode`] or [`crate::Kind::Invalid`] for a value that cannot
    /// be stored.
    pub async fn fill(
        self,
        loaded: impl Into<Loaded<V>>,
        ttl: Option<Duration>,
    ) -> Result<(Option<Hit<V>>, FillOutcome), Error> {
        let offered = self
            .tiers
            .offer(&self.attempt, self.grant, loaded.into(), ttl)
            .await;
        let (held, outcome) = offered?;
        let served = Served {
            held,
            tier: Tier::None,
            age: Age::Fresh,
            found: self.tiers.domain.clock().now(),
        };
        if let Some(lead) = self.lead {
            lead.finish(Ok(served.clone()));
        }
        Ok((Hit::of(served), outcome))
    }
}

impl<V> Hit<V> {
    /// The hit, unless the entry is an absence.
    pub(super) fn of(served: Served<V>) -> Option<Self> {
        served.held.entry.value.is_some().then_some(Self {
            held: served.held,
            tier: served.tier,
            age: served.age,
        })
    }

    /// Whether it has expired, and is served because the source is slow or fails. Nothing
    /// that was invalidated is served, stale or not.
    pub fn is_stale(&self) -> bool {
        self.age == Age::Stale
    }

    /// Where the value was found; [`Tier::None`] is the source.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// The position up to which the value surely contains every commit.
    pub fn as_of(&self) -> Position {
        self.held.entry.as_of
    }

    /// When it was stored, in milliseconds of the storing machine's wall clock.
    pub fn stored_ms(&self) -> u64 {
        self.held.entry.stored_ms
    }

    /// How long it lives from then on.
    pub fn ttl(&self) -> Duration {
        self.held.entry.ttl
    }

    /// What its loader told it from other values by.
    pub fn validator(&self) -> Option<&[u8]> {
        self.held.entry.validator.as_deref()
    }

    /// Its tags, the one of every entry left out.
    pub fn tags(&self) -> impl Iterator<Item = &crate::model::tag::Tag> {
        self.held
            .entry
            .stamps
            .iter()
            .skip(1)
            .map(|stamp| &stamp.tag)
    }
}

impl<V> Deref for Hit<V> {
    type Target = V;

    fn deref(&self) -> &V {
        match &self.held.entry.value {
            Some(value) => value,
            None => unreachable!("Hit::of makes none of an absence"),
        }
    }
}

impl<V> Clone for Hit<V> {
    fn clone(&self) -> Self {
        Self {
            held: self.held.clone(),
            tier: self.tier,
            age: self.age,
        }
    }
}

impl<V: fmt::Debug> fmt::Debug for Hit<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hit")
            .field("value", &**self)
            .field("tier", &self.tier)
            .field("as_of", &self.as_of())
            .finish()
    }
}

impl<V: Send + Sync + 'static> From<Served<V>> for Lookup<V> {
    fn from(served: Served<V>) -> Self {
        Hit::of(served).map_or(Self::Absent, Self::Hit)
    }
}

impl<V: Send + Sync + 'static> fmt::Debug for FillTicket<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FillTicket")
            .field("attempt", &self.attempt)
            .field("has_lease", &self.has_lease())
            .finish_non_exhaustive()
    }
}
