//! Hits are held against the source, as many as the policy says, and what the source
//! has otherwise is told apart: still on its way, or never coming.

use cache_core::event::Tier;
use cache_core::metrics::Metrics;
use cache_core::source::Cause;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::logs::Logs;
use cache_core::testkit::until::{pace, until};
use cache_core::wire::codec::Bincode;
use cache_core::{AsOf, Cache, Domain, Loaded, Lookup, Policy, Position, Role};
use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

const PATIENCE: Duration = Duration::from_secs(10);
const MILLION: u32 = 1_000_000;

/// One process, its cache, and a source of one row.
struct World {
    _domain: Arc<Domain>,
    cache: Cache<u64>,
    registry: Registry,
    source: Arc<Source>,
}

/// What the source has, how often it was asked, and how many it answers.
#[derive(Debug)]
struct Source {
    row: Mutex<Loaded<u64>>,
    loads: Mutex<u32>,
    answers: Semaphore,
}

impl Source {
    async fn read(self: Arc<Self>) -> Result<Loaded<u64>, Cause> {
        *self.loads.lock() += 1;
        self.answers.acquire().await?.forget();
        Ok(self.row.lock().clone())
    }
}

impl World {
    async fn new(shadow_per_million: u32) -> Self {
        Self::over(&Fleet::in_memory(), shadow_per_million).await
    }

    /// A cache that holds 7, as the source does.
    async fn over(fleet: &Fleet, shadow_per_million: u32) -> Self {
        let mut registry = Registry::default();
        let metrics = Arc::new(Metrics::new(&mut registry));
        let domain = fleet.join_observed(Role::Member, metrics).await;
        let domain = domain.expect("the bus is there");
        until_trusted(&domain).await;
        let policy = Policy {
            shadow_per_million,
            ..Policy::new("users").expect("a name")
        };
        let world = Self {
            cache: Cache::open(&domain, policy, Bincode::default()).expect("a policy"),
            _domain: domain,
            registry,
            source: Arc::new(Source {
                row: Mutex::new(Loaded::value(7)),
                loads: Mutex::default(),
                answers: Semaphore::new(1_000),
            }),
        };
        // Not at once: the bus still tells that the buckets have begun.
        let held = || async {
            match world.cache.get("k").await {
                Ok(Lookup::Hit(hit)) => hit.tier() == Tier::L1,
                Ok(Lookup::Miss(ticket)) => {
                    let filled = ticket.fill(Loaded::value(7), None).await;
                    filled.expect("L2 is there");
                    false
                }
                other => panic!("a hit or a miss was due: {other:?}"),
            }
        };
        let waited = until(PATIENCE, "L1 holds it", held).await;
        waited.expect("within moments");
        world
    }

    async fn read(&self) -> Option<u64> {
        let source = self.source.clone();
        let hit = self.cache.get_or_load("k", |_| source.read()).await;
        hit.expect("the source answers").map(|hit| *hit)
    }

    fn counted(&self, outcome: &str) -> u64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("metrics are text");
        let series = format!("cacheaside_shadow_total{{cache=\"users\",outcome=\"{outcome}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&series));
        value
            .expect("a series from the start")
            .parse()
            .expect("a count")
    }

    async fn until_counted(&self, outcome: &str, count: u64) {
        let counted = || async { self.counted(outcome) == count };
        let waited = until(PATIENCE, outcome, counted).await;
        waited.expect("comparisons end");
    }

    fn loads(&self) -> u32 {
        *self.source.loads.lock()
    }
}

#[tokio::test]
async fn a_hit_that_the_source_agrees_with_costs_one_load() {
    let world = World::new(MILLION).await;
    assert_eq!(world.read().await, Some(7));
    world.until_counted("agreed", 1).await;
    assert_eq!(world.loads(), 1);
}

#[tokio::test]
async fn a_change_without_an_event_is_found_out() {
    let logs = Logs::listen();
    let world = World::new(MILLION).await;
    *world.source.row.lock() = Loaded::value(8);
    assert_eq!(world.read().await, Some(7), "nobody has said anything");
    world.until_counted("wrong", 1).await;
    let told = logs.errors().join("\n");
    assert!(told.contains("a hit was not what the source has"), "{told}");
}

#[tokio::test]
async fn a_change_whose_event_is_late_is_lag() {
    let world = World::new(MILLION).await;
    *world.source.row.lock() = Loaded::value(8);
    assert_eq!(world.read().await, Some(7));
    let asked = || async { world.loads() == 1 };
    let waited = until(PATIENCE, "the source was asked", asked).await;
    waited.expect("within moments");
    let told = world.cache.invalidate("k").await;
    assert!(told.expect("L2 is there"));
    world.until_counted("lag", 1).await;
    assert_eq!(world.counted("wrong"), 0);
}

#[tokio::test]
async fn a_replica_from_before_the_entry_proves_nothing() {
    let world = World::new(MILLION).await;
    let told = world.cache.invalidate("k").await;
    assert!(
        told.expect("L2 is there"),
        "as-ofs are above zero from here on"
    );
    assert_eq!(world.read().await, Some(7));
    let old = Loaded::value(6).read_at(AsOf::Position(Position::ZERO));
    *world.source.row.lock() = old;
    assert_eq!(world.read().await, Some(7));
    world.until_counted("unknown", 1).await;
}

#[tokio::test]
async fn nobody_vouches_for_an_entry_while_nobody_carries_changes() {
    let fleet = Fleet::in_memory().with_invalidator();
    let carrying = fleet.join(Role::Invalidator).await;
    let carrying = carrying.expect("the bus is there");
    let world = World::over(&fleet, MILLION).await;
    *world.source.row.lock() = Loaded::value(8);
    assert_eq!(world.read().await, Some(7));
    carrying.leave().await;
    world.until_counted("unknown", 1).await;
}

#[tokio::test]
async fn comparisons_leave_the_source_to_callers() {
    let world = World::new(MILLION).await;
    world.source.answers.forget_permits(usize::MAX);
    for _ in 0..50 {
        assert_eq!(world.read().await, Some(7));
    }
    assert_eq!(
        world.counted("skipped"),
        42,
        "all but those that have begun"
    );
    let begun = || async { world.loads() == 8 };
    let waited = until(PATIENCE, "eight have begun", begun).await;
    waited.expect("within moments");
    world.source.answers.add_permits(8);
    world.until_counted("agreed", 8).await;
}

#[tokio::test]
async fn no_hit_is_compared_unless_asked_for() {
    let world = World::new(0).await;
    for _ in 0..100 {
        assert_eq!(world.read().await, Some(7));
    }
    pace(Duration::from_millis(50)).await;
    assert_eq!(world.loads(), 0);
    for outcome in ["agreed", "lag", "wrong", "unknown", "skipped"] {
        assert_eq!(world.counted(outcome), 0, "{outcome}");
    }
}
