//! Warming up: what is loaded, at which pace, and when it ends early.

use cache_core::bus::memory::MemoryBus;
use cache_core::clock::Clock;
use cache_core::event::Tier;
use cache_core::source::{Cause, Wanted};
use cache_core::testkit::clock::RuntimeClock;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::troubled::TroubledRemote;
use cache_core::testkit::until::pace;
use cache_core::{Cache, Domain, Kind, ReadThrough, Role, WarmUp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const LOAD: Duration = Duration::from_millis(1);

/// A source whose row `n` is `n`, and absent from 1,000 on, and what is asked of it.
#[derive(Clone, Default)]
struct Source {
    loads: Arc<AtomicU64>,
    at_once: Arc<AtomicU64>,
    most_at_once: Arc<AtomicU64>,
    is_down: Arc<AtomicBool>,
}

impl Source {
    async fn load(self, wanted: Wanted<u64>) -> Result<Option<u64>, Cause> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        pace(LOAD).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        match self.is_down.load(Ordering::SeqCst) {
            true => Err("connection refused".into()),
            false => Ok(wanted.text().parse().ok().filter(|row| *row < 1_000)),
        }
    }

    fn loads(&self) -> u64 {
        self.loads.swap(0, Ordering::SeqCst)
    }
}

/// Two processes over one L2, and their source.
struct World {
    remote: Arc<TroubledRemote>,
    caches: [Cache<u64>; 2],
    users: [ReadThrough<u64>; 2],
    source: Source,
    _domains: [Arc<Domain>; 2],
}

impl World {
    async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RuntimeClock::new());
        let remote = Arc::new(TroubledRemote::new(clock.clone()));
        let fleet = Fleet::over(remote.clone(), Arc::new(MemoryBus::new()), clock);
        let source = Source::default();
        let member = async || {
            let domain = fleet.join(Role::Member).await.expect("the bus is there");
            until_trusted(&domain).await;
            let cache = Cache::builder("users").open(&domain).expect("a policy");
            let source = source.clone();
            let users = cache.read_through(move |wanted| source.clone().load(wanted));
            (domain, cache, users)
        };
        let (one, other) = (member().await, member().await);
        Self {
            remote,
            caches: [one.1, other.1],
            users: [one.2, other.2],
            source,
            _domains: [one.0, other.0],
        }
    }
}

fn keys(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|key| key.to_string()).collect()
}

fn at(at_once: usize, per_second: u32) -> WarmUp {
    WarmUp {
        at_once,
        per_second,
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_tier_has_is_loaded_at_its_pace_and_the_rest_is_left() {
    let world = World::new().await;
    let began = Instant::now();
    let warmed = world.users[0].warm_up(keys(900..1_100), at(3, 50)).await;
    let warmed = warmed.expect("a sound pace");
    assert_eq!(
        (warmed.loaded, warmed.absent, warmed.present),
        (100, 100, 0)
    );
    assert_eq!((warmed.failed, warmed.skipped, warmed.not_kept), (0, 0, 0));
    assert!(warmed.error.is_none());
    let took = began.elapsed().as_secs_f64();
    assert!((3.5..4.5).contains(&took), "200 loads in {took} s");
    assert_eq!(world.source.loads(), 200);
    assert_eq!(world.source.most_at_once.load(Ordering::SeqCst), 3);

    // The other process finds them in L2, and need not go slowly.
    let began = Instant::now();
    let warmed = world.users[1].warm_up(keys(800..1_000), at(3, 50)).await;
    let warmed = warmed.expect("a sound pace");
    assert_eq!((warmed.loaded, warmed.present), (100, 100));
    let took = began.elapsed().as_secs_f64();
    assert!((1.5..2.5).contains(&took), "100 loads in {took} s");
    assert_eq!(world.source.loads(), 100);
    let hit = world.users[1].get("950").await.expect("L1 answers");
    assert_eq!(hit.expect("a row").tier(), Tier::L1);
}

#[tokio::test(start_paused = true)]
async fn a_warm_up_ends_when_the_source_is_left_alone() {
    let world = World::new().await;
    world.source.is_down.store(true, Ordering::SeqCst);
    let warmed = world.users[0].warm_up(keys(0..500), at(4, 1_000)).await;
    let warmed = warmed.expect("a sound pace");
    assert!((10..=14).contains(&warmed.failed), "{warmed:?}");
    assert_eq!(warmed.failed + warmed.skipped, 500);
    let error = warmed.error.expect("the source is down");
    assert_eq!(error.kind(), Kind::LoadFailed);
    assert_eq!(world.source.loads(), warmed.failed);

    let warmed = world.users[0].warm_up(keys(0..500), at(4, 1_000)).await;
    assert_eq!(warmed.expect("a sound pace").skipped, 500, "none is tried");
    world.source.is_down.store(false, Ordering::SeqCst);
    pace(Duration::from_secs(2)).await;
    let warmed = world.users[0].warm_up(keys(0..500), at(1, 1_000)).await;
    assert_eq!(warmed.expect("a sound pace").loaded, 500, "it is up again");
}

#[tokio::test(start_paused = true)]
async fn a_warm_up_ends_when_nothing_is_kept() {
    let world = World::new().await;
    world.remote.down.store(true, Ordering::SeqCst);
    let warmed = world.users[0]
        .warm_up(keys(0..500), WarmUp::default())
        .await;
    let warmed = warmed.expect("a sound pace");
    assert!((10..=14).contains(&warmed.not_kept), "{warmed:?}");
    assert_eq!(warmed.not_kept + warmed.skipped, 500);
}

#[tokio::test(start_paused = true)]
async fn one_key_that_fails_ends_nothing() {
    let world = World::new().await;
    let mut some = keys(0..20);
    some.insert(7, String::new());
    some.insert(9, "x".repeat(600));
    let warmed = world.users[0].warm_up(&some, WarmUp::default()).await;
    let warmed = warmed.expect("a sound pace");
    assert_eq!((warmed.loaded, warmed.failed, warmed.skipped), (20, 2, 0));
    assert_eq!(warmed.error.expect("bad keys").kind(), Kind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_warmed_and_asked_for_is_loaded_once() {
    let world = World::new().await;
    let some = keys(0..50);
    let warming = world.users[0].warm_up(&some, at(50, 10_000));
    let reads = some.iter().map(|key| world.users[1].get(key));
    let (warmed, reads) = tokio::join!(warming, futures_util::future::join_all(reads));
    let warmed = warmed.expect("a sound pace");
    assert_eq!(warmed.loaded + warmed.present, 50);
    assert!(reads.iter().all(Result::is_ok));
    assert_eq!(world.source.loads(), 50, "the lease holds");
}

#[tokio::test(start_paused = true)]
async fn the_keys_of_one_life_warm_the_next() {
    let world = World::new().await;
    let some = keys(0..50);
    for key in &some {
        world.users[0].get(key).await.expect("there is a row");
    }
    assert_eq!(world.caches[0].l1_keys(20).len(), 20);
    let held = world.caches[0].l1_keys(usize::MAX);
    assert_eq!(held.len(), 50);
    let warmed = world.users[1].warm_up(held, WarmUp::default()).await;
    assert_eq!(warmed.expect("a sound pace").present, 50);
    assert_eq!(world.caches[1].l1_keys(100).len(), 50);
}

#[tokio::test]
async fn a_pace_has_its_limits() {
    let world = World::new().await;
    for bad in [at(0, 1), at(1, 0), at(10_001, 1), at(1, 10_001)] {
        let error = world.users[0].warm_up(keys(0..1), bad).await;
        assert_eq!(error.expect_err("no pace").kind(), Kind::Invalid);
    }
}
