//! The one way a value enters the tiers: look in L1, look in L2, take a lease,
//! load, offer to L2, and only then keep it in L1.
//!
//! Everything that decides whether a value may be kept is taken BEFORE the first
//! read outside this process, in an [`Attempt`]. Whoever moves that line breaks
//! the design.

pub mod batch;
pub mod explain;
pub mod load;
pub mod look;
pub mod offer;
pub mod probe;
pub mod reason;
pub mod refresh;
pub mod run;
pub mod shadow;
pub mod stale;

use crate::clock::Tick;
use crate::domain::Domain;
use crate::error::Error;
use crate::event::{Answer, CacheId, Event, Tier};
use crate::flight::breaker::Breaker;
use crate::flight::budget::Budget;
use crate::flight::bulkhead::{Bulkhead, STEPS};
use crate::flight::single::{Flights, Since};
use crate::guard::horizon::Snapshot;
use crate::model::entry::Entry;
use crate::model::key::{Address, Key, KeyHash, KeySpace};
use crate::model::position::Position;
use crate::model::tag::Tag;
use crate::policy::Policy;
use crate::random::Sample;
use crate::switches::Switches;
use crate::tier::l1::{Age, Drops, Held, L1, TELL_ONE_IN, weight};
use crate::tier::tags::TagFloors;
use crate::wire::codec::Codec;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Of so many answers of L1, one is timed: a second look at the clock takes a quarter of the
/// time of a hit.
const TIME_ONE_IN: u32 = 256;

/// What one flight ends with, for all who waited.
pub type Flown<V> = Result<Served<V>, Error>;

/// An entry and the tier it came from; [`Tier::None`] is the source.
pub struct Served<V> {
    /// The entry.
    pub held: Arc<Held<V>>,
    /// Where it was found.
    pub tier: Tier,
    /// How old it is.
    pub age: Age,
    /// When it was looked for in L1, or when it came from elsewhere.
    pub found: Tick,
}

/// One cache of this process: its tiers, and what guards them.
pub struct Tiers<V> {
    pub(crate) domain: Arc<Domain>,
    pub(crate) policy: Policy,
    pub(crate) id: CacheId,
    pub(crate) space: KeySpace,
    pub(crate) l1: Arc<L1<V>>,
    pub(crate) tags: TagFloors,
    pub(crate) codec: Arc<dyn Codec<V>>,
    pub(crate) flights: Arc<Flights<Flown<V>>>,
    pub(crate) loads: Bulkhead,
    pub(crate) breaker: Breaker,
    pub(crate) sample: Arc<Sample>,
    pub(crate) switches: Switches,
    pub(crate) refreshes: Budget,
    /// The running mean of how long loads take, in microseconds.
    pub(crate) load_us: AtomicU64,
}

/// What was taken before the first outside read of one caller.
#[derive(Debug)]
pub struct Attempt {
    pub(crate) key: Arc<[u8]>,
    pub(crate) hash: KeyHash,
    pub(crate) address: Address,
    pub(crate) since: Since,
    pub(crate) known: Snapshot,
    /// Below it, L2 was not to be believed about the key.
    pub(crate) owed: Position,
}

/// What one read asks for beyond the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// The smallest as-of that will do: a position from an own write.
    pub at_least: Position,
    /// How long ago the value may have been loaded at most, by the clocks of whoever did
    /// and of this machine. Zero is [`Ask::strict`]; `None` takes what invalidations and
    /// lifetimes leave.
    pub max_staleness: Option<Duration>,
    /// How long to wait for another's load; `None` is the policy's.
    pub wait: Option<Duration>,
    /// Whether no replica will do, should it come to a load. So it is too where `at_least`
    /// has a tick, which no replica can show to be past.
    pub primary: bool,
}

impl Ask {
    /// Past the tiers, to the source: what it answers holds every commit from before the
    /// call, and is offered to the tiers. A loader is told not to read replicas
    /// ([`crate::source::Wanted::strict`]). Each such call is a load of its own.
    pub fn strict() -> Self {
        Self::bounded(Duration::ZERO)
    }

    /// A value that was loaded at most so long ago.
    pub fn bounded(max_staleness: Duration) -> Self {
        Self {
            max_staleness: Some(max_staleness),
            ..Self::default()
        }
    }

    /// A value that holds everything up to a position, such as an own write's.
    pub fn at_least(position: Position) -> Self {
        Self {
            at_least: position,
            ..Self::default()
        }
    }

    /// Whether what another reads will not do.
    pub(crate) fn is_strict(&self) -> bool {
        self.max_staleness == Some(Duration::ZERO)
    }

    /// Whether a loader is told to leave replicas alone.
    pub(crate) fn wants_primary(&self) -> bool {
        self.is_strict() || self.primary || self.at_least.tick > 0
    }

    /// What those have in common who share a flight: how far its value must reach. Who
    /// must not be answered from a replica shares none with who may.
    pub(crate) fn shares(&self) -> Position {
        match self.wants_primary() && self.at_least.tick == 0 {
            true => Position {
                tick: u32::MAX,
                ..self.at_least
            },
            false => self.at_least,
        }
    }

    /// Whether a value loaded then will do; `wall_ms` is now.
    fn takes(&self, stored_ms: u64, wall_ms: impl FnOnce() -> u64) -> bool {
        self.max_staleness.is_none_or(|most| {
            let age = Duration::from_millis(wall_ms().saturating_sub(stored_ms));
            !most.is_zero() && age <= most
        })
    }
}

impl<V: Send + Sync + 'static> Tiers<V> {
    /// The tiers of a cache that has just been opened.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for a policy that contradicts itself.
    pub fn open(
        domain: Arc<Domain>,
        policy: Policy,
        codec: Arc<dyn Codec<V>>,
    ) -> Result<Arc<Self>, Error> {
        policy.check()?;
        let space = KeySpace::new(domain.name().clone(), policy.name.clone());
        let lifetime = &policy.lifetime;
        let longest = lifetime.l1_ttl.max(lifetime.negative_ttl) + lifetime.stale_ttl;
        let id = domain.observer().register(&policy.name);
        let observer = domain.observer().clone();
        let dropped = move |cause| observer.observe(&Event::Dropped { cache: id, cause });
        let l1 = L1::new(policy.l1_bytes, longest, policy.l1_idle, dropped);
        let tags = TagFloors::new(
            space.clone(),
            domain.remote().clone(),
            domain.fence().clone(),
            domain.horizon().clone(),
            domain.owed().clone(),
            domain.clock().clone(),
        );
        let ahead = policy.refresh.unwrap_or_default();
        let start = domain.random().next();
        let sample = Arc::new(Sample::new(policy.shadow_per_million, start));
        let tiers = Arc::new(Self {
            refreshes: Budget::new(ahead.at_once, ahead.per_second),
            load_us: AtomicU64::new(0),
            id,
            breaker: Breaker::new(policy.breaker_keys, policy.breaker_pause),
            loads: Bulkhead::new(policy.loads_max, policy.loads_ramp > Duration::ZERO),
            switches: Switches::new(&policy, sample.clone()),
            sample,
            domain,
            policy,
            space,
            l1: Arc::new(l1),
            tags,
            codec,
            flights: Flights::new(),
        });
        let applier = tiers.domain.applier();
        applier.add(tiers.policy.name.clone(), &tiers);
        tiers.keep_tidy();
        tiers.keep_pace();
        Ok(tiers)
    }

    /// Takes everything that must be older than the first outside read.
    pub(crate) fn attempt(&self, key: Key<'_>) -> Attempt {
        let hash = self.space.hash(key);
        let since = Since {
            ticket: self.domain.fence().ticket(hash),
            tag_changes: self.l1.tag_changes(),
        };
        let now = self.domain.clock().now();
        Attempt {
            key: key.bytes().into(),
            hash,
            address: self.space.address(key),
            since,
            known: self.domain.horizon().snapshot(),
            owed: self.domain.owed().floor(hash, now),
        }
    }

    /// An entry as this process holds it; `encoded` is the size of its value, unpacked.
    pub(crate) fn held(&self, attempt: &Attempt, entry: Entry<V>, encoded: usize) -> Arc<Held<V>> {
        let (lifetime, clock) = (&self.policy.lifetime, self.domain.clock());
        let (now, wall_ms) = (clock.now(), clock.wall_ms());
        let fresh = entry.remaining(wall_ms).min(lifetime.l1_ttl);
        let usable = entry.remaining_stale(wall_ms, lifetime.stale_ttl);
        Arc::new(Held {
            key: attempt.key.clone(),
            expires: now.after(fresh),
            refresh_at: now.after(self.due_in(&entry, wall_ms)),
            refresh_off_ms: AtomicU64::new(0),
            stale_until: now.after(usable),
            held_over_ms: AtomicU64::new(0),
            ticket: attempt.since.ticket,
            tags_checked: AtomicU64::new(attempt.since.tag_changes),
            weight: weight(&attempt.key, encoded),
            entry,
        })
    }

    /// Keeps what L2 accepted or served, if nothing was invalidated meanwhile. If
    /// something is just now, the ticket inside makes the entry worthless.
    pub(crate) fn keep(&self, attempt: &Attempt, held: &Arc<Held<V>>) {
        let fence = self.domain.fence();
        if self.switches.l1() && fence.holds(attempt.hash, attempt.since.ticket) {
            self.l1.put(attempt.hash, held.clone());
            self.observe(Event::Put {
                cache: self.id,
                tier: Tier::L1,
            });
        }
    }

    /// Counts how a read was answered that had to go on from L1 at `left`, if it had to.
    pub(crate) fn answered(&self, flown: &Flown<V>, left: Option<Tick>) {
        let (tier, answer) = match flown {
            Err(_) => (Tier::None, Answer::Error),
            Ok(served) if served.tier == Tier::None => (Tier::None, Answer::Miss),
            Ok(served) if served.age == Age::Stale => (served.tier, Answer::Stale),
            Ok(served) if served.held.entry.value.is_none() => (served.tier, Answer::Negative),
            Ok(served) => (served.tier, Answer::Hit),
        };
        let took = match flown {
            Ok(served) if tier == Tier::L1 => self.time(served, left),
            _ => left.map(|left| self.domain.clock().now().since(left)),
        };
        self.got(tier, answer, took);
    }

    pub(crate) fn got(&self, tier: Tier, answer: Answer, took: Option<Duration>) {
        self.observe(Event::Get {
            cache: self.id,
            tier,
            answer,
            took,
        });
    }

    /// How long an answer of L1 took, for some of them, also if it came late, because what
    /// lies beyond was asked first, from `left` on. By the clock, whose lowest digits are as
    /// good as drawn by lot, and those above what [`L1`] draws by.
    pub(crate) fn time(&self, served: &Served<V>, left: Option<Tick>) -> Option<Duration> {
        let lot = served.found.since_start().subsec_nanos() / TELL_ONE_IN;
        let is_drawn = lot.is_multiple_of(TIME_ONE_IN);
        is_drawn.then(|| {
            let began = left.unwrap_or(served.found);
            self.domain.clock().now().since(began)
        })
    }

    pub(crate) fn observe(&self, event: Event<'_>) {
        self.domain.observer().observe(&event);
    }

    /// moka does its housekeeping in its callers' time unless somebody else does.
    fn keep_tidy(&self) {
        const EVERY: Duration = Duration::from_millis(100);
        let observer = self.domain.observer().clone();
        let (cache, capacity) = (self.id, self.policy.l1_bytes);
        let mut told = None;
        let mut tell = move |l1: &L1<V>| {
            let (entries, bytes) = (l1.entries(), l1.weight());
            if told.replace((entries, bytes)) != Some((entries, bytes)) {
                observer.observe(&Event::L1Size {
                    cache,
                    entries,
                    bytes,
                    capacity,
                });
            }
        };
        tell(&self.l1);
        let l1 = Arc::downgrade(&self.l1);
        self.domain.run(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let Some(l1) = l1.upgrade() else { return };
                l1.tidy_up();
                tell(&l1);
            }
        });
    }

    /// Opens and closes turns for loads.
    fn keep_pace(self: &Arc<Self>) {
        let step = self.policy.loads_ramp / STEPS;
        if step.is_zero() {
            return;
        }
        let tiers = Arc::downgrade(self);
        self.domain.run(async move {
            let mut open = 0;
            loop {
                tokio::time::sleep(step).await;
                let Some(tiers) = tiers.upgrade() else { return };
                let before = std::mem::replace(&mut open, tiers.loads.step());
                if open != before {
                    tiers.observe(Event::LoadTurns {
                        cache: tiers.id,
                        open,
                    });
                }
            }
        });
    }
}

impl<V: Send + Sync + 'static> Drops for Tiers<V> {
    fn drop_key(&self, hash: KeyHash) {
        self.l1.drop_key(hash);
    }

    fn tags_changed(&self) {
        self.l1.tags_changed();
    }

    fn drop_all(&self) {
        self.l1.drop_all();
    }

    fn serves(&self, key: Key<'_>) -> Option<Position> {
        let hash = self.space.hash(key);
        // Nearly always the end of it, and for moka no read.
        if !self.l1.has(hash, key.bytes()) {
            return None;
        }
        let served = self.look(hash, key.bytes(), &Ask::default())?;
        Some(served.held.entry.as_of)
    }

    fn admits_from(&self, tag: &Tag) -> Option<Position> {
        let trusted = self.domain.trust().holds(self.domain.clock().now());
        trusted.then(|| self.tags.known_floor(tag))?
    }
}

impl<V> Clone for Served<V> {
    fn clone(&self) -> Self {
        Self {
            held: self.held.clone(),
            tier: self.tier,
            age: self.age,
            found: self.found,
        }
    }
}

impl<V> fmt::Debug for Served<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served")
            .field("as_of", &self.held.entry.as_of)
            .field("tier", &self.tier)
            .finish_non_exhaustive()
    }
}

impl<V> fmt::Debug for Tiers<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tiers")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wants_the_primary_shares_no_flight_with_who_does_not() {
        let usual = Ask::at_least(Position::new(1, 9, 0));
        let primary = Ask {
            primary: true,
            ..usual
        };
        let tick = Ask::at_least(Position::new(1, 9, 1));
        assert!(!usual.wants_primary() && primary.wants_primary() && tick.wants_primary());
        let mut shared = [usual, primary, tick].map(|ask| ask.shares());
        shared.sort_unstable();
        assert!(shared.windows(2).all(|two| two[0] != two[1]), "{shared:?}");
        assert_eq!(usual.shares(), usual.at_least);
    }
}
