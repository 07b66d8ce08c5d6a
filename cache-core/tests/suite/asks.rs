//! How old an answer may be, call by call: as ever, at most so old, or none but the
//! source's own.

use cache_core::bus::memory::MemoryBus;
use cache_core::clock::Clock;
use cache_core::event::Tier;
use cache_core::fill::Ask;
use cache_core::source::{Cause, Wanted};
use cache_core::testkit::clock::RuntimeClock;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::until::pace;
use cache_core::tier::memory::MemoryRemote;
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, Domain, Kind, Lookup, Policy, Role};
use futures_util::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const LOAD: Duration = Duration::from_millis(50);

/// Two processes, and a source whose row counts its loads.
struct World {
    caches: [Cache<u64>; 2],
    loads: Arc<AtomicU64>,
    strict: Arc<AtomicBool>,
    fails: Arc<AtomicBool>,
    _domains: [Arc<Domain>; 2],
}

impl World {
    async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RuntimeClock::new());
        let remote = Arc::new(MemoryRemote::new(clock.clone()));
        let fleet = Fleet::over(remote, Arc::new(MemoryBus::new()), clock);
        let (one, first) = member(&fleet).await;
        let (two, second) = member(&fleet).await;
        Self {
            caches: [first, second],
            loads: Arc::default(),
            strict: Arc::default(),
            fails: Arc::default(),
            _domains: [one, two],
        }
    }

    async fn get(&self, process: usize, ask: &Ask) -> Result<(u64, Tier), Kind> {
        let (loads, strict) = (self.loads.clone(), self.strict.clone());
        let fails = self.fails.clone();
        let load = async move |wanted: Wanted<_>| {
            strict.store(wanted.strict, Ordering::SeqCst);
            let row = loads.fetch_add(1, Ordering::SeqCst) + 1;
            pace(LOAD).await;
            match fails.load(Ordering::SeqCst) {
                true => Err(Cause::from("the source is away")),
                false => Ok(Some(row)),
            }
        };
        let cache = &self.caches[process];
        match cache.get_or_load_with("k", ask, load).await {
            Ok(hit) => Ok(hit.map(|hit| (*hit, hit.tier())).expect("there is a row")),
            Err(error) => Err(error.kind()),
        }
    }
}

async fn member(fleet: &Fleet) -> (Arc<Domain>, Cache<u64>) {
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&domain).await;
    let policy = Policy::new("users").expect("a name");
    let cache = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
    (domain, cache)
}

#[tokio::test(start_paused = true)]
async fn nothing_older_than_its_bound_is_answered_and_the_rest_is_shared() {
    let world = World::new().await;
    let usual = Ask::default();
    assert_eq!(world.get(0, &usual).await, Ok((1, Tier::None)));
    pace(2 * SECOND).await;
    let (tight, wide) = (Ask::bounded(SECOND), Ask::bounded(5 * SECOND));
    assert_eq!(world.get(0, &wide).await, Ok((1, Tier::L1)));
    assert_eq!(
        world.get(1, &wide).await,
        Ok((1, Tier::L2)),
        "its age, not its copy's"
    );
    assert_eq!(world.get(1, &tight).await, Ok((2, Tier::None)));
    assert_eq!(world.get(1, &tight).await, Ok((2, Tier::L1)));
    assert_eq!(
        world.get(0, &tight).await,
        Ok((2, Tier::L2)),
        "one load for the fleet"
    );
    assert!(!world.strict.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn many_that_find_a_value_too_old_load_it_once_and_the_others_keep_it() {
    let world = World::new().await;
    let usual = Ask::default();
    world.get(0, &usual).await.expect("the source answers");
    world.get(1, &usual).await.expect("the source answers");
    pace(2 * SECOND).await;
    let tight = Ask::bounded(SECOND);
    let asked = join_all((0..20).map(|at| world.get(at % 2, &tight)));
    let meanwhile = async {
        pace(LOAD / 2).await;
        assert_eq!(
            world.get(0, &usual).await,
            Ok((1, Tier::L1)),
            "it stays for the others"
        );
    };
    let (asked, ()) = tokio::join!(asked, meanwhile);
    let rows: Vec<_> = asked
        .into_iter()
        .map(|one| one.expect("it loads").0)
        .collect();
    assert_eq!(rows, [2; 20]);
    assert_eq!(world.loads.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_strict_read_goes_to_the_source_and_its_value_is_kept() {
    let world = World::new().await;
    assert_eq!(world.get(0, &Ask::strict()).await, Ok((1, Tier::None)));
    assert!(world.strict.load(Ordering::SeqCst), "no replica will do");
    assert_eq!(world.get(0, &Ask::strict()).await, Ok((2, Tier::None)));
    assert_eq!(world.get(0, &Ask::default()).await, Ok((2, Tier::L1)));
    // One that another has begun to read may be from before this call.
    let strict = Ask::strict();
    let all = join_all((0..4).map(|at| world.get(at % 2, &strict))).await;
    let mut rows: Vec<_> = all
        .into_iter()
        .map(|one| one.expect("it loads").0)
        .collect();
    rows.sort_unstable();
    assert_eq!(rows, [3, 4, 5, 6]);
    let answer = world.caches[0].get_with("k", &Ask::strict()).await;
    assert!(matches!(answer, Ok(Lookup::Miss(_))), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_invalidated_during_a_strict_read_is_not_kept() {
    let world = World::new().await;
    world
        .get(0, &Ask::default())
        .await
        .expect("the source answers");
    let strict = Ask::strict();
    let read = world.get(0, &strict);
    let change = async {
        pace(LOAD / 2).await;
        world.caches[1].invalidate("k").await.expect("L2 is there");
    };
    let (read, ()) = tokio::join!(read, change);
    assert_eq!(read, Ok((2, Tier::None)));
    assert_eq!(world.get(0, &Ask::default()).await, Ok((3, Tier::None)));
}

#[tokio::test(start_paused = true)]
async fn a_bound_holds_while_the_source_fails() {
    let world = World::new().await;
    world
        .get(0, &Ask::default())
        .await
        .expect("the source answers");
    pace(2 * SECOND).await;
    world.fails.store(true, Ordering::SeqCst);
    for ask in [Ask::bounded(SECOND), Ask::strict()] {
        assert_eq!(world.get(0, &ask).await, Err(Kind::LoadFailed));
    }
    assert_eq!(world.get(0, &Ask::default()).await, Ok((1, Tier::L1)));
}
