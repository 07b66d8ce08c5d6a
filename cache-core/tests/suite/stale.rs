//! Stale answers while the source is slow or fails: old by time, never by invalidation.

use cache_core::bus::memory::MemoryBus;
use cache_core::clock::Clock;
use cache_core::event::Tier;
use cache_core::source::Cause;
use cache_core::testkit::clock::RuntimeClock;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::until::pace;
use cache_core::tier::memory::MemoryRemote;
use cache_core::wire::codec::Bincode;
use cache_core::{AsOf, Cache, Domain, Error, Kind, Loaded, Lookup, Policy, Role};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

const TTL: Duration = Duration::from_secs(10);

fn policy() -> Policy {
    let mut policy = Policy::new("users").expect("a name");
    policy.lifetime.ttl = TTL;
    policy.lifetime.l1_ttl = TTL;
    policy.lifetime.jitter = 0.0;
    policy.lifetime.stale_ttl = Duration::from_secs(60);
    policy.load_backoff = Duration::from_secs(5);
    policy
}

/// What the source does.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Well,
    Slow,
    Fails,
}

/// A source of one row.
#[derive(Debug)]
struct Source {
    row: u64,
    mood: Mood,
    loads: u64,
}

struct World {
    source: Arc<Mutex<Source>>,
    one: Cache<u64>,
    other: Cache<u64>,
    clock: Arc<dyn Clock>,
    domains: [Arc<Domain>; 2],
}

impl World {
    async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RuntimeClock::default());
        let remote = Arc::new(MemoryRemote::new(clock.clone()));
        let fleet = Fleet::over(remote, Arc::new(MemoryBus::new()), clock.clone());
        let (first, one) = member(&fleet).await;
        let (second, other) = member(&fleet).await;
        Self {
            source: Arc::new(Mutex::new(Source {
                row: 1,
                mood: Mood::Well,
                loads: 0,
            })),
            one,
            other,
            clock,
            domains: [first, second],
        }
    }

    fn is(&self, mood: Mood) {
        self.source.lock().mood = mood;
    }

    fn loads(&self) -> u64 {
        self.source.lock().loads
    }

    /// The row, whether it is stale, and how long the answer took.
    async fn get(&self, cache: &Cache<u64>) -> Result<(u64, bool, Duration), Error> {
        let source = self.source.clone();
        let load = async move |_| {
            let (mood, row) = {
                let mut source = source.lock();
                source.loads += 1;
                (source.mood, source.row)
            };
            match mood {
                Mood::Well => Ok(Some(row)),
                Mood::Slow => {
                    pace(Duration::from_secs(3)).await;
                    Ok(Some(row))
                }
                Mood::Fails => Err(Cause::from("the source is away")),
            }
        };
        let began = self.clock.now();
        let hit = cache.get_or_load("k", load).await?.expect("there is a row");
        let took = self.clock.now().since(began);
        Ok((*hit, hit.is_stale(), took))
    }
}

async fn member(fleet: &Fleet) -> (Arc<Domain>, Cache<u64>) {
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&domain).await;
    let cache = Cache::open(&domain, policy(), Bincode::default()).expect("a policy");
    (domain, cache)
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_leaves_expired_values_for_as_long_as_allowed() {
    let world = World::new().await;
    world.get(&world.one).await.expect("the source is well");
    world.is(Mood::Fails);
    for _ in 0..6 {
        pace(TTL).await;
        for cache in [&world.one, &world.other] {
            let (row, stale, _) = world.get(cache).await.expect("a stale value");
            assert_eq!((row, stale), (1, true));
        }
    }
    pace(TTL).await;
    let error = world.get(&world.one).await.expect_err("it is too old");
    assert_eq!(error.kind(), Kind::LoadFailed);
    world.is(Mood::Well);
    let (_, stale, _) = world.get(&world.one).await.expect("the source is well");
    assert!(!stale);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_failed_is_left_alone_for_a_while() {
    let world = World::new().await;
    world.get(&world.one).await.expect("the source is well");
    world.is(Mood::Fails);
    pace(TTL).await;
    for _ in 0..100 {
        world.get(&world.one).await.expect("a stale value");
        pace(Duration::from_millis(100)).await;
    }
    // 10 s of reads, a load every 5 s.
    assert!((3..=4).contains(&world.loads()), "{} loads", world.loads());
}

#[tokio::test(start_paused = true)]
async fn a_slow_source_costs_the_soft_timeout_once_and_its_answer_is_kept() {
    let world = World::new().await;
    world.get(&world.one).await.expect("the source is well");
    world.is(Mood::Slow);
    pace(TTL).await;
    world.source.lock().row = 2;
    let (row, stale, took) = world.get(&world.one).await.expect("a stale value");
    assert_eq!((row, stale), (1, true));
    assert!(took <= Duration::from_millis(110), "{took:?}");
    let (_, stale, took) = world.get(&world.one).await.expect("a stale value");
    assert!(stale && took < Duration::from_millis(10), "{took:?}");
    pace(Duration::from_secs(4)).await;
    let (row, stale, _) = world.get(&world.one).await.expect("the loaded value");
    assert_eq!((row, stale, world.loads()), (2, false, 2));
}

#[tokio::test(start_paused = true)]
async fn nothing_invalidated_is_served_stale() {
    for way in 0..4 {
        let world = World::new().await;
        world.get(&world.one).await.expect("the source is well");
        world.get(&world.other).await.expect("the source is well");
        world.is(Mood::Fails);
        pace(TTL).await;
        world.get(&world.one).await.expect("a stale value");
        match way {
            0 => drop(world.one.invalidate("k").await),
            1 => drop(world.other.invalidate("k").await),
            2 => drop(world.other.clear().await),
            // Nobody tells this process of changes any more.
            _ => {
                for domain in &world.domains {
                    domain.leave().await;
                }
                pace(Duration::from_secs(1)).await;
            }
        }
        pace(Duration::from_millis(100)).await;
        for cache in [&world.one, &world.other] {
            let error = world.get(cache).await.expect_err("nothing may be served");
            assert_eq!(error.kind(), Kind::LoadFailed, "way {way}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_value_stays_in_l2_while_another_loads() {
    let world = World::new().await;
    world.get(&world.one).await.expect("the source is well");
    world.is(Mood::Slow);
    pace(TTL).await;
    world.get(&world.one).await.expect("a stale value");
    // The first process holds the lease. The other one had nothing in L1.
    let (row, stale, took) = world.get(&world.other).await.expect("a stale value");
    assert_eq!((row, stale), (1, true));
    assert!(took <= Duration::from_millis(150), "{took:?}");
    assert_eq!(world.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_only_its_lifetime_bounds_is_never_served_beyond() {
    let world = World::new().await;
    let load = async |_| Ok::<_, Cause>(Loaded::value(1_u64).read_at(AsOf::Unknown));
    world.one.get_or_load("k", load).await.expect("it is there");
    world.is(Mood::Fails);
    let (_, stale, _) = world.get(&world.one).await.expect("it is fresh");
    assert!(!stale);
    pace(TTL).await;
    for cache in [&world.one, &world.other] {
        world.get(cache).await.expect_err("nothing may be served");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_loads_by_itself_may_have_the_stale_value_too() {
    let world = World::new().await;
    world.get(&world.one).await.expect("the source is well");
    pace(TTL).await;
    let Ok(Lookup::Miss(ticket)) = world.one.get("k").await else {
        panic!("it has expired");
    };
    let stale = ticket.stale().expect("it has only expired");
    assert_eq!(
        (*stale, stale.is_stale(), stale.tier()),
        (1, true, Tier::L1)
    );
}
