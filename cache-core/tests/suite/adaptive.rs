//! Loaders that decide more than the value: that nothing has changed, how long it lives,
//! whether it is kept.

use cache_core::bus::memory::MemoryBus;
use cache_core::clock::Clock;
use cache_core::event::Tier;
use cache_core::source::{Cause, VALIDATOR_LEN_MAX};
use cache_core::strategy::cache_aside::Hit;
use cache_core::testkit::clock::RuntimeClock;
use cache_core::testkit::fleet::{Fleet, in_l1, keeps_in_l1, until_trusted};
use cache_core::testkit::until::{pace, until};
use cache_core::tier::memory::MemoryRemote;
use cache_core::wire::codec::Bincode;
use cache_core::{
    Ask, Cache, Domain, Error, Kind, Loaded, Lookup, Policy, Role, Tag, Wanted, WriteError,
};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

const TTL: Duration = Duration::from_secs(10);

/// What a loader was shown: value and validator.
type Shown = Option<(Option<u64>, Option<Vec<u8>>)>;

struct World {
    cache: Cache<u64>,
    other: Cache<u64>,
    shown: Arc<Mutex<Vec<Shown>>>,
    _domains: [Arc<Domain>; 2],
}

impl World {
    async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RuntimeClock::default());
        let remote = Arc::new(MemoryRemote::new(clock.clone()));
        let fleet = Fleet::over(remote, Arc::new(MemoryBus::new()), clock);
        let (first, cache) = member(&fleet).await;
        let (second, other) = member(&fleet).await;
        Self {
            cache,
            other,
            shown: Arc::default(),
            _domains: [first, second],
        }
    }

    /// Reads, and on a miss the loader answers this.
    async fn get(&self, answer: Loaded<u64>) -> Result<Option<Hit<u64>>, Error> {
        self.get_by(&self.cache, &Ask::default(), answer).await
    }

    async fn get_by(
        &self,
        cache: &Cache<u64>,
        ask: &Ask,
        answer: Loaded<u64>,
    ) -> Result<Option<Hit<u64>>, Error> {
        let shown = self.shown.clone();
        let load = async move |wanted: Wanted<u64>| {
            let stale = wanted.stale.as_ref();
            let seen = stale.map(|stale| {
                let validator = stale.validator().map(<[u8]>::to_vec);
                (stale.value().copied(), validator)
            });
            shown.lock().push(seen);
            Ok::<_, Cause>(answer)
        };
        cache.get_or_load_with("k", ask, load).await
    }

    fn last_shown(&self) -> Shown {
        let shown = self.shown.lock();
        shown.last().expect("it was loaded").clone()
    }
}

async fn member(fleet: &Fleet) -> (Arc<Domain>, Cache<u64>) {
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&domain).await;
    let mut policy = Policy::new("users").expect("a name");
    policy.lifetime.ttl = TTL;
    policy.lifetime.l1_ttl = TTL;
    policy.lifetime.jitter = 0.0;
    policy.lifetime.stale_ttl = Duration::from_secs(60);
    let cache = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
    (domain, cache)
}

fn tag(text: &str) -> Tag {
    Tag::new(text).expect("a tag")
}

#[tokio::test(start_paused = true)]
async fn what_the_source_says_is_unchanged_lives_anew_with_its_tags() {
    let world = World::new().await;
    let first = Loaded::value(7).tagged([tag("team:1")]).validated_by("v1");
    world.get(first).await.expect("it is loaded");
    assert_eq!(world.last_shown(), None, "there was nothing");
    pace(TTL + Duration::from_secs(1)).await;
    // The other process has it from L2, where it has expired.
    let ask = Ask::default();
    let hit = world.get_by(&world.other, &ask, Loaded::unchanged()).await;
    let hit = hit.expect("it is loaded").expect("a value");
    assert_eq!(world.last_shown(), Some((Some(7), Some(b"v1".to_vec()))));
    assert_eq!((*hit, hit.tier()), (7, Tier::None));
    assert_eq!(hit.validator(), Some(&b"v1"[..]));
    assert!(hit.tags().eq([&tag("team:1")]));
    pace(TTL / 2).await;
    let hit = world.get(Loaded::value(8)).await.expect("it is cached");
    let hit = hit.expect("a value");
    assert_eq!((*hit, hit.tier()), (7, Tier::L2), "it lives anew");
    world
        .cache
        .invalidate_tag(tag("team:1"))
        .await
        .expect("L2 is there");
    let hit = world.get(Loaded::value(9)).await.expect("it is loaded");
    assert_eq!(hit.as_deref(), Some(&9), "its tag is still its tag");
}

#[tokio::test(start_paused = true)]
async fn an_absence_may_be_unchanged_as_well() {
    let world = World::new().await;
    world.get(Loaded::absent()).await.expect("it is loaded");
    pace(Duration::from_secs(31)).await;
    let hit = world.get(Loaded::unchanged()).await.expect("it is loaded");
    assert!(hit.is_none());
    assert_eq!(world.last_shown(), Some((None, None)));
}

#[tokio::test(start_paused = true)]
async fn nothing_invalidated_is_shown_to_a_loader() {
    let world = World::new().await;
    let first = Loaded::value(7).tagged([tag("team:1")]).validated_by("v1");
    world.get(first.clone()).await.expect("it is loaded");
    world.cache.invalidate("k").await.expect("L2 is there");
    world.get(first).await.expect("it is loaded");
    assert_eq!(world.last_shown(), None, "the key was invalidated");
    world
        .cache
        .invalidate_tag(tag("team:1"))
        .await
        .expect("L2 is there");
    let error = world.get(Loaded::unchanged()).await;
    assert_eq!(world.last_shown(), None, "its tag was invalidated");
    let error = error.expect_err("nothing can be unchanged");
    assert_eq!(error.kind(), Kind::LoadFailed, "{error}");
    assert!(error.to_string().contains("shown nothing"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_strict_read_may_be_answered_that_nothing_has_changed() {
    let world = World::new().await;
    world.get(Loaded::value(7)).await.expect("it is loaded");
    let strict = Ask::strict();
    let hit = world.get_by(&world.cache, &strict, Loaded::unchanged());
    let hit = hit.await.expect("it is loaded").expect("a value");
    assert_eq!((*hit, hit.tier()), (7, Tier::None));
}

#[tokio::test(start_paused = true)]
async fn a_loader_says_how_long_a_value_lives_and_whether_it_is_kept() {
    let world = World::new().await;
    let short = Loaded::value(1).living(Duration::from_secs(2));
    world.get(short).await.expect("it is loaded");
    pace(Duration::from_secs(1)).await;
    let hit = world.get(Loaded::value(2)).await.expect("it is cached");
    assert_eq!(hit.as_deref(), Some(&1));
    pace(Duration::from_secs(1)).await;
    let hit = world.get(Loaded::value(3).not_kept()).await;
    assert_eq!(hit.expect("it is loaded").as_deref(), Some(&3));
    let hit = world.get(Loaded::value(4)).await.expect("it is loaded");
    assert_eq!(hit.as_deref(), Some(&4), "3 was for one caller");
    // Longer than anything may live.
    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    world.cache.invalidate("k").await.expect("L2 is there");
    let hit = world.get(Loaded::value(5).living(century)).await;
    let hit = hit.expect("it is loaded").expect("a value");
    assert_eq!(hit.ttl(), cache_core::model::lifetime::TTL_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_validator_beyond_its_limit_is_refused_and_nothing_is_kept() {
    let world = World::new().await;
    let long = Loaded::value(1).validated_by(vec![7; VALIDATOR_LEN_MAX + 1]);
    let error = world.get(long).await.expect_err("it is too long");
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
    let hit = world
        .get(Loaded::value(2))
        .await
        .expect("the lease is back");
    assert_eq!(hit.as_deref(), Some(&2));
}

#[tokio::test(start_paused = true)]
async fn who_was_shown_nothing_cannot_say_unchanged() {
    let world = World::new().await;
    let Ok(Lookup::Miss(ticket)) = world.cache.get("k").await else {
        panic!("nothing is cached");
    };
    let error = ticket.fill(Loaded::unchanged(), None).await;
    assert_eq!(error.expect_err("a ticket").kind(), Kind::Invalid);
    let write = |_, _| async { Ok::<_, WriteError>(Loaded::<u64>::unchanged()) };
    let receipt = world.cache.write_through(write).put("k", 1).await;
    let receipt = receipt.expect("it is written");
    assert!(!receipt.stored && receipt.refused.is_some(), "{receipt:?}");
    let hit = world.get(Loaded::value(2)).await.expect("it is loaded");
    assert_eq!(hit.as_deref(), Some(&2), "no absence was stored");
}

#[tokio::test]
async fn what_nobody_asks_for_leaves_l1_and_what_is_asked_for_stays() {
    let fleet = Fleet::in_memory();
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&domain).await;
    let cache = Cache::<u64>::builder("users").l1_idle(Duration::from_millis(300));
    let cache = cache.open(&domain).expect("a policy");
    let both = async || keeps_in_l1(&cache, "a", 1).await && keeps_in_l1(&cache, "b", 1).await;
    let patience = Duration::from_secs(10);
    until(patience, "L1 keeps both", both)
        .await
        .expect("nothing else happens");
    let one_left = async || in_l1(&cache, "a").await && cache.l1_size().0 == 1;
    until(patience, "the idle one is gone", one_left)
        .await
        .expect("the other one is asked for");
}
