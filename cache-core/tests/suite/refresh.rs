//! Refresh-ahead: who still waits for a load, what it costs the source, and what it never
//! does.

use cache_core::bus::memory::MemoryBus;
use cache_core::clock::{Clock, Tick};
use cache_core::event::Tier;
use cache_core::flight::budget::Budget;
use cache_core::policy::Refresh;
use cache_core::source::Cause;
use cache_core::testkit::clock::RuntimeClock;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::until::pace;
use cache_core::tier::memory::MemoryRemote;
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, Domain, Policy, Role};
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const TTL: Duration = Duration::from_secs(10);
const LOAD: Duration = Duration::from_millis(50);

fn policy(refresh: Option<Refresh>) -> Policy {
    let mut policy = Policy::new("users").expect("a name");
    policy.lifetime.ttl = TTL;
    policy.lifetime.l1_ttl = TTL;
    policy.lifetime.stale_ttl = Duration::ZERO;
    policy.loads_ramp = Duration::ZERO;
    policy.refresh = refresh;
    policy
}

/// A source that counts its loads, and processes that read it.
struct World {
    row: Arc<AtomicU64>,
    loads: Arc<AtomicU64>,
    caches: Vec<Cache<u64>>,
    load: Duration,
    remote: Arc<MemoryRemote>,
    domains: Vec<Arc<Domain>>,
}

impl World {
    async fn new(processes: usize, refresh: Option<Refresh>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RuntimeClock::default());
        let remote = Arc::new(MemoryRemote::new(clock.clone()));
        let fleet = Fleet::over(remote.clone(), Arc::new(MemoryBus::new()), clock);
        let (mut caches, mut domains) = (Vec::new(), Vec::new());
        for _ in 0..processes {
            let domain = fleet.join(Role::Member).await.expect("the bus is there");
            until_trusted(&domain).await;
            let cache = Cache::open(&domain, policy(refresh), Bincode::default());
            caches.push(cache.expect("a policy"));
            domains.push(domain);
        }
        Self {
            row: Arc::new(AtomicU64::new(1)),
            loads: Arc::default(),
            caches,
            load: LOAD,
            remote,
            domains,
        }
    }

    /// Reads a key; the row, and whether it came from the source.
    async fn get(&self, process: usize, key: &str) -> (u64, bool) {
        let (row, loads) = (self.row.clone(), self.loads.clone());
        let takes = self.load;
        let load = async move |_| {
            loads.fetch_add(1, Ordering::SeqCst);
            let row = row.load(Ordering::SeqCst);
            pace(takes).await;
            Ok::<_, Cause>(Some(row))
        };
        let hit = self.caches[process].get_or_load(key, load).await;
        let hit = hit.expect("the source answers").expect("there is a row");
        (*hit, hit.tier() == Tier::None)
    }

    fn loads(&self) -> u64 {
        self.loads.load(Ordering::SeqCst)
    }
}

/// A minute of reads, 200 a second, of keys as popular as Zipf says; how many waited.
async fn a_minute(world: &World) -> u64 {
    const KEYS: usize = 100;
    let weights: Vec<_> = (1..=KEYS).map(|rank| 1.0 / rank as f64).collect();
    let total: f64 = weights.iter().sum();
    let mut rng = StdRng::seed_from_u64(7);
    let mut waited = 0;
    for _ in 0..12_000 {
        let mut draw = rng.random_range(0.0..total);
        let key = weights.iter().position(|weight| {
            draw -= weight;
            draw < 0.0
        });
        let key = format!("user:{}", key.unwrap_or(0));
        waited += u64::from(world.get(0, &key).await.1);
        pace(Duration::from_millis(5)).await;
    }
    waited
}

#[tokio::test(start_paused = true)]
async fn fewer_reads_wait_and_the_source_pays_within_its_budget() {
    let plain = World::new(1, None).await;
    let ahead = World::new(1, Some(Refresh::default())).await;
    let (before, after) = (a_minute(&plain).await, a_minute(&ahead).await);
    let (loads, more) = (plain.loads(), ahead.loads());
    println!("of 12000 reads, {before} waited for a load, and {after} with refresh-ahead");
    println!("{loads} loads, and {more} with refresh-ahead");
    assert!(after * 2 < before, "{after} of {before}");
    assert!(more < loads * 3 / 2, "{more} instead of {loads}");
}

#[tokio::test(start_paused = true)]
async fn one_process_of_many_loads_anew_and_nobody_waits() {
    let world = World::new(4, Some(Refresh::default())).await;
    world.get(0, "k").await;
    for _ in 0..600 {
        for process in 0..4 {
            assert!(!world.get(process, "k").await.1, "somebody waits");
        }
        pace(Duration::from_millis(100)).await;
    }
    // A minute has six lives of 10 s, each of which ends at 8 s or a little before.
    assert!((6..=10).contains(&world.loads()), "{} loads", world.loads());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_is_left_to_expire() {
    let world = World::new(1, Some(Refresh::default())).await;
    world.get(0, "k").await;
    pace(TTL * 2).await;
    assert_eq!(world.loads(), 1);
    assert!(world.get(0, "k").await.1);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_loaded_ahead_than_the_budget_allows() {
    let refresh = Refresh {
        at_once: 100,
        per_second: 5,
        ..Refresh::default()
    };
    let world = World::new(1, Some(refresh)).await;
    let keys: Vec<_> = (0..40).map(|key| format!("user:{key}")).collect();
    join_all(keys.iter().map(|key| world.get(0, key))).await;
    pace(Duration::from_millis(8_500)).await;
    let before = world.loads();
    // All are due, and none has expired.
    for key in &keys {
        assert!(!world.get(0, key).await.1, "{key} is gone");
    }
    pace(LOAD * 2).await;
    assert_eq!(world.loads() - before, 5);
}

/// How many of the reads of 30 keys, ten a second each, wait in two minutes for a load that
/// takes three seconds of a life of ten.
async fn waits_for_slow_loads(beta: f64) -> u64 {
    let refresh = Refresh {
        beta,
        at_once: 100,
        per_second: 1_000,
        ..Refresh::default()
    };
    let mut world = World::new(1, Some(refresh)).await;
    world.load = 3 * LOAD * 20;
    let keys: Vec<_> = (0..30).map(|key| format!("user:{key}")).collect();
    let reads = keys.iter().map(|key| async {
        let (began, mut waited) = (tokio::time::Instant::now(), 0);
        while began.elapsed() < 12 * TTL {
            waited += u64::from(world.get(0, key).await.1);
            pace(Duration::from_millis(100)).await;
        }
        waited
    });
    join_all(reads).await.into_iter().sum()
}

#[tokio::test(start_paused = true)]
async fn what_is_slow_to_load_is_begun_earlier() {
    // By the share alone a load begins 2 s before the end, or a little more, and is late.
    let (share, drawn) = (
        waits_for_slow_loads(0.0).await,
        waits_for_slow_loads(2.0).await,
    );
    println!("{share} reads wait at the share alone, and {drawn} with XFetch");
    assert!(share > 100, "{share}");
    assert!(drawn * 10 < share * 9, "{drawn} of {share}");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_failed_is_tried_again_before_the_end() {
    let world = World::new(1, Some(Refresh::default())).await;
    let mut policy = policy(Some(Refresh::default()));
    policy.lifetime.jitter = 0.0;
    policy.load_backoff = Duration::from_millis(500);
    let cache: Cache<u64> =
        Cache::open(&world.domains[0], policy, Bincode::default()).expect("a policy");
    let loads = Arc::new(AtomicU64::new(0));
    let get = async || {
        let loads = loads.clone();
        let load = async move |_| match loads.fetch_add(1, Ordering::SeqCst) {
            1 => Err(Cause::from("the source is away")),
            _ => Ok(Some(1)),
        };
        cache
            .get_or_load("k", load)
            .await
            .expect("a value is at hand")
    };
    get().await;
    pace(TTL * 85 / 100).await;
    for _ in 0..10 {
        get().await;
        pace(Duration::from_millis(100)).await;
    }
    assert_eq!(
        loads.load(Ordering::SeqCst),
        3,
        "once more, and no more then"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_loaded_ahead_into_a_bucket_that_lost_writes() {
    let world = World::new(1, Some(Refresh::default())).await;
    let before = world.remote.image();
    world.caches[0].invalidate("k").await.expect("L2 is there");
    world.get(0, "k").await;
    pace(TTL * 9 / 10).await;
    world.remote.go_back_to(&before);
    assert!(!world.get(0, "k").await.1, "it is in L1");
    pace(LOAD / 2).await;
    assert_eq!(world.loads(), 1, "no refresh before the bucket is mended");
}

#[tokio::test(start_paused = true)]
async fn a_change_during_a_refresh_wins() {
    let world = World::new(1, Some(Refresh::default())).await;
    world.get(0, "k").await;
    pace(TTL * 9 / 10).await;
    assert_eq!(
        world.get(0, "k").await.0,
        1,
        "served while it is loaded anew"
    );
    // The load has read the old row, and has not returned.
    pace(LOAD / 2).await;
    world.row.store(2, Ordering::SeqCst);
    world.caches[0].invalidate("k").await.expect("L2 is there");
    pace(LOAD).await;
    assert_eq!(world.get(0, "k").await.0, 2);
    assert_eq!(world.loads(), 3);
}

fn take_all(budget: &Budget, at: Tick) -> usize {
    std::iter::from_fn(|| budget.take(at)).count()
}

#[test]
fn a_second_holds_its_number_and_no_more_are_saved_up() {
    let budget = Budget::new(1, 10);
    let at = |millis| Tick::at(Duration::from_millis(millis));
    assert_eq!(take_all(&budget, at(0)), 10);
    assert_eq!(take_all(&budget, at(300)), 3);
    assert_eq!(take_all(&budget, at(60_000)), 10);
    assert_eq!(take_all(&budget, at(50_000)), 0, "clocks do not go back");
}

#[test]
fn no_more_run_at_once_than_allowed() {
    let budget = Budget::new(2, 100);
    let mut taken: Vec<_> = (0..3).map(|_| budget.take(Tick::default())).collect();
    assert_eq!(taken.iter().flatten().count(), 2);
    taken.clear();
    assert!(budget.take(Tick::default()).is_some());
}

/// Reads one key for ten minutes; how often it was loaded.
async fn ten_minutes(ttl_max: Option<Duration>, changes: bool) -> u64 {
    let refresh = Refresh {
        ttl_max,
        ..Refresh::default()
    };
    let world = World::new(1, Some(refresh)).await;
    for _ in 0..1_200 {
        if changes {
            world.row.fetch_add(1, Ordering::SeqCst);
        }
        world.get(0, "user:1").await;
        pace(Duration::from_millis(500)).await;
    }
    world.loads()
}

#[tokio::test(start_paused = true)]
async fn what_never_changes_is_loaded_less_and_less_often_if_that_is_allowed() {
    let same = ten_minutes(None, false).await;
    let minutes = Some(Duration::from_secs(160));
    let adapted = ten_minutes(minutes, false).await;
    let changing = ten_minutes(minutes, true).await;
    println!("loads in ten minutes: {same}; adapted {adapted}, of what changes {changing}");
    assert!((60..=100).contains(&same), "{same}");
    assert!(adapted <= 15, "{adapted}");
    assert!(changing >= 60, "{changing}");
}
