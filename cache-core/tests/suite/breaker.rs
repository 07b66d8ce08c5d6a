//! The breaker before the source: what a source that is down is asked, and how soon it is
//! asked again.

use cache_core::bus::memory::MemoryBus;
use cache_core::clock::{Clock, Tick};
use cache_core::event::{CacheId, Event, Observer};
use cache_core::flight::breaker::{Admission, Breaker, Turned};
use cache_core::model::key::KeyHash;
use cache_core::source::Cause;
use cache_core::testkit::clock::RuntimeClock;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::until::pace;
use cache_core::tier::memory::MemoryRemote;
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, Domain, Kind, Name, Policy, Role};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const PAUSE: Duration = Duration::from_secs(1);

/// Notes whenever the breaker turns.
#[derive(Debug, Default)]
struct Turns(Mutex<Vec<bool>>);

impl Observer for Turns {
    fn register(&self, _: &Name) -> CacheId {
        CacheId(0)
    }

    fn observe(&self, event: &Event<'_>) {
        if let Event::Breaker { open, .. } = event {
            self.0.lock().push(*open);
        }
    }
}

/// A cache with the default policy, and a source that may be down for all keys or one.
struct World {
    cache: Cache<u64>,
    is_down: Arc<AtomicBool>,
    loads: Arc<AtomicU64>,
    turns: Arc<Turns>,
    _domain: Arc<Domain>,
}

impl World {
    async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RuntimeClock::new());
        let remote = Arc::new(MemoryRemote::new(clock.clone()));
        let fleet = Fleet::over(remote, Arc::new(MemoryBus::new()), clock);
        let turns = Arc::new(Turns::default());
        let domain = fleet.join_observed(Role::Member, turns.clone()).await;
        let domain = domain.expect("the bus is there");
        until_trusted(&domain).await;
        let policy = Policy::new("users").expect("a name");
        Self {
            cache: Cache::open(&domain, policy, Bincode::default()).expect("a policy"),
            is_down: Arc::default(),
            loads: Arc::default(),
            turns,
            _domain: domain,
        }
    }

    async fn get(&self, key: &str) -> Result<u64, Kind> {
        let (is_down, loads) = (self.is_down.clone(), self.loads.clone());
        let poisoned = key == "poisoned";
        let load = async move |_| {
            loads.fetch_add(1, Ordering::SeqCst);
            match poisoned || is_down.load(Ordering::SeqCst) {
                true => Err(Cause::from("connection refused")),
                false => Ok(Some(1)),
            }
        };
        match self.cache.get_or_load(key, load).await {
            Ok(hit) => Ok(*hit.expect("there is a row")),
            Err(error) => Err(error.kind()),
        }
    }

    fn loads(&self) -> u64 {
        self.loads.swap(0, Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_down_is_asked_once_a_second_and_used_as_soon_as_it_is_up() {
    let world = World::new().await;
    world.is_down.store(true, Ordering::SeqCst);
    for row in 0..100 {
        let expected = if row < 10 {
            Kind::LoadFailed
        } else {
            Kind::SourceDown
        };
        assert_eq!(world.get(&row.to_string()).await, Err(expected), "{row}");
    }
    assert_eq!(world.loads(), 10);
    for row in 0..100 {
        pace(PAUSE / 10).await;
        let key = row.to_string();
        world.get(&key).await.expect_err("it is down");
    }
    assert!((9..=11).contains(&world.loads()), "in ten seconds");
    world.is_down.store(false, Ordering::SeqCst);
    pace(PAUSE).await;
    for row in 0..100 {
        assert_eq!(world.get(&row.to_string()).await, Ok(1));
    }
    assert_eq!(world.loads(), 100);
    assert_eq!(*world.turns.0.lock(), [true, false]);
}

#[tokio::test(start_paused = true)]
async fn expired_values_are_served_at_once_while_the_source_is_left_alone() {
    let world = World::new().await;
    let ttl = world.cache.policy().lifetime.ttl;
    assert_eq!(world.get("kept").await, Ok(1));
    pace(ttl).await;
    world.is_down.store(true, Ordering::SeqCst);
    for row in 0..10 {
        world.get(&row.to_string()).await.expect_err("it is down");
    }
    world.loads();
    assert_eq!(world.get("kept").await, Ok(1));
    assert_eq!(world.loads(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_key_that_always_fails_closes_no_other_out() {
    let world = World::new().await;
    for row in 0..100 {
        for _ in 0..20 {
            assert_eq!(world.get("poisoned").await, Err(Kind::LoadFailed));
        }
        assert_eq!(world.get(&row.to_string()).await, Ok(1));
    }
    assert_eq!(*world.turns.0.lock(), Vec::<bool>::new());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_always_fails_does_not_take_every_try() {
    let world = World::new().await;
    world.is_down.store(true, Ordering::SeqCst);
    for row in 0..10 {
        world.get(&row.to_string()).await.expect_err("it is down");
    }
    world.is_down.store(false, Ordering::SeqCst);
    // The first that asks is always the one that fails.
    for _ in 0..25 {
        pace(PAUSE / 10).await;
        world.get("poisoned").await.expect_err("it always fails");
        if world.get("k").await == Ok(1) {
            break;
        }
    }
    assert_eq!(*world.turns.0.lock(), [true, false]);
}

#[test]
fn one_load_tries_and_another_if_nobody_hears_of_it() {
    let at = |millis| Tick::at(Duration::from_millis(millis));
    let [a, b, c] = [1, 2, 3].map(KeyHash);
    let breaker = Breaker::new(2, PAUSE);
    assert_eq!(breaker.failed(a, at(0), at(0)), None);
    assert_eq!(breaker.failed(a, at(0), at(0)), None, "the same again");
    assert_eq!(breaker.failed(b, at(0), at(1)), Some(Turned::Opened));
    let refused = Admission::Refused(Duration::from_millis(1));
    assert_eq!(breaker.admit(c, at(1_000)), refused);
    assert_eq!(breaker.admit(c, at(1_001)), Admission::Begin);
    assert_eq!(breaker.admit(a, at(2_000)), refused, "one at a time");
    assert_eq!(breaker.admit(a, at(2_001)), Admission::Begin);
    assert_eq!(breaker.admit(a, at(4_000)), refused, "others first");
    assert_eq!(breaker.admit(a, at(4_001)), Admission::Begin);
    // One that began before it opened says nothing new; the one that tried does.
    assert_eq!(breaker.failed(c, at(0), at(4_500)), None);
    assert_eq!(breaker.admit(b, at(5_000)), refused);
    assert_eq!(breaker.failed(a, at(4_001), at(4_900)), None);
    assert_eq!(breaker.admit(b, at(5_899)), refused);
    assert_eq!(breaker.succeeded(), Some(Turned::Closed));
    assert_eq!(
        breaker.failed(a, at(5_900), at(5_900)),
        None,
        "it counts anew"
    );
    assert_eq!(breaker.admit(a, at(5_900)), Admission::Begin);

    let never = Breaker::new(0, PAUSE);
    for key in 0..100 {
        assert_eq!(never.failed(KeyHash(key), at(0), at(0)), None);
    }
    assert_eq!(never.admit(a, at(0)), Admission::Begin);
}
