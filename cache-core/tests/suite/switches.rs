//! What an operator sets while caches run: what it does, and that no order of switching
//! brings an old value back.

use cache_core::bus::memory::MemoryBus;
use cache_core::clock::Clock;
use cache_core::event::{CacheId, Event, Observer, ShadowOutcome, Tier};
use cache_core::fill::explain::Verdict;
use cache_core::fill::reason::Reason;
use cache_core::model::key::{Key, KeySpace};
use cache_core::policy::UnleasedSet;
use cache_core::source::Cause;
use cache_core::testkit::clock::RuntimeClock;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::logs::Logs;
use cache_core::testkit::until::{pace, until};
use cache_core::tier::memory::MemoryRemote;
use cache_core::tier::{Record, Remote};
use cache_core::wire::codec::Bincode;
use cache_core::{
    Cache, Domain, FillOutcome, Kind, Lookup, Name, Policy, Role, SetOutcome, WriteError,
};
use futures_util::future::join_all;
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

/// Counts the comparisons of hits with the source that agreed.
#[derive(Debug, Default)]
struct Compared(AtomicU64);

impl Observer for Compared {
    fn register(&self, _: &Name) -> CacheId {
        CacheId(0)
    }

    fn observe(&self, event: &Event<'_>) {
        let agreed = ShadowOutcome::Agreed;
        if matches!(event, Event::Shadow { outcome, .. } if *outcome == agreed) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A row, and two processes with caches of it.
struct World {
    row: Arc<AtomicU64>,
    remote: Arc<MemoryRemote>,
    caches: [Cache<u64>; 2],
    domains: [Arc<Domain>; 2],
    compared: Arc<Compared>,
}

impl World {
    async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RuntimeClock::new());
        let remote = Arc::new(MemoryRemote::new(clock.clone()));
        let fleet = Fleet::over(remote.clone(), Arc::new(MemoryBus::new()), clock);
        let compared = Arc::new(Compared::default());
        let (one, first) = member(&fleet, &compared).await;
        let (two, second) = member(&fleet, &compared).await;
        let world = Self {
            row: Arc::new(AtomicU64::new(1)),
            remote,
            caches: [first, second],
            domains: [one, two],
            compared,
        };
        for process in 0..2 {
            world.until_read(process, (1, Tier::L1)).await;
        }
        world
    }

    async fn get(&self, process: usize) -> (u64, Tier) {
        let row = self.row.clone();
        let load = async move |_| Ok::<_, Cause>(Some(row.load(Ordering::SeqCst)));
        let hit = self.caches[process].get_or_load("k", load).await;
        let hit = hit.expect("the source answers").expect("there is a row");
        (*hit, hit.tier())
    }

    async fn until_read(&self, process: usize, expected: (u64, Tier)) {
        let read = || async { self.get(process).await == expected };
        let waited = until(PATIENCE, "a process reads what it should", read).await;
        waited.unwrap_or_else(|error| panic!("{expected:?}: {error}"));
    }

    /// A commit, and its invalidation by one of the processes.
    async fn commit(&self, process: usize, row: u64) {
        self.row.store(row, Ordering::SeqCst);
        let invalidated = self.caches[process].invalidate("k").await;
        assert_eq!(invalidated.ok(), Some(true));
    }

    async fn is_in_l2(&self, key: &'static str) -> bool {
        let name = |text| Name::new(text).expect("a name");
        let key = Key::new(key.as_bytes()).expect("a key");
        let address = KeySpace::new(name("main"), name("users")).address(key);
        let reading = self.remote.read(&address).await.expect("it is there");
        matches!(reading.record, Some(Record::Value { .. }))
    }
}

async fn member(fleet: &Fleet, compared: &Arc<Compared>) -> (Arc<Domain>, Cache<u64>) {
    let joined = fleet.join_observed(Role::Member, compared.clone()).await;
    let domain = joined.expect("the bus is there");
    until_trusted(&domain).await;
    let mut policy = Policy::new("users").expect("a name");
    policy.lifetime.jitter = 0.0;
    policy.lifetime.stale_ttl = Duration::ZERO;
    (policy.loads_max, policy.loads_ramp) = (2, Duration::ZERO);
    policy.unleased_set = UnleasedSet::Stores;
    let cache = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
    (domain, cache)
}

#[tokio::test(start_paused = true)]
async fn l1_that_is_off_answers_and_keeps_nothing() {
    let world = World::new().await;
    let switches = world.caches[0].switches();
    switches.set_l1(false);
    assert!(!switches.l1() && switches.l2());
    assert_eq!(world.get(0).await, (1, Tier::L2));
    assert_eq!(world.get(0).await, (1, Tier::L2));
    let explained = world.caches[0].explain("k").await.expect("a good key");
    assert_eq!(explained.verdict, Verdict::HitInL2);
    assert_eq!(explained.l1.why_not, Some(Reason::SwitchedOff));
    assert_eq!(
        world.get(1).await,
        (1, Tier::L1),
        "it is off in one process"
    );
    switches.set_l1(true);
    assert_eq!(
        world.get(0).await,
        (1, Tier::L1),
        "nothing has happened to it"
    );
}

#[tokio::test(start_paused = true)]
async fn l1_that_comes_back_serves_nothing_that_it_missed() {
    let world = World::new().await;
    let switches = world.caches[0].switches();
    switches.set_l1(false);
    world.commit(1, 2).await;
    world.until_read(0, (2, Tier::L2)).await;
    switches.set_l1(true);
    assert_eq!(world.get(0).await, (2, Tier::L2), "what it held is gone");
    world.until_read(0, (2, Tier::L1)).await;
    switches.set_l1(false);
    world.domains[0].applier().gap("a message was lost");
    switches.set_l1(true);
    assert_eq!(world.get(0).await, (2, Tier::L2));
}

#[tokio::test(start_paused = true)]
async fn with_l2_off_the_source_is_asked_within_its_limits_and_nothing_is_kept() {
    let world = World::new().await;
    world.caches[0].switches().set_l2(false);
    assert_eq!(world.get(0).await, (1, Tier::L1), "L1 is not off");
    let (running, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let keys: Vec<String> = (0..8).map(|at| format!("key:{at}")).collect();
    for _ in 0..2 {
        let each = keys.iter().map(|key| {
            let (running, most) = (running.clone(), most.clone());
            let load = async move |_| {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                pace(SECOND / 100).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Cause>(Some(7))
            };
            world.caches[0].get_or_load(key, load)
        });
        for hit in join_all(each.collect::<Vec<_>>()).await {
            let hit = hit.expect("there is a turn").expect("there is a row");
            assert_eq!((*hit, hit.tier()), (7, Tier::None));
        }
    }
    assert_eq!(most.load(Ordering::SeqCst), 2, "as `loads_max` says");
    assert!(!world.is_in_l2("key:0").await);
    let Ok(Lookup::Miss(ticket)) = world.caches[0].get("key:0").await else {
        panic!("nothing was kept");
    };
    assert!(!ticket.has_lease());
    let filled = ticket.fill(Some(7), None).await.expect("it can be encoded");
    assert_eq!(filled.1, FillOutcome::LeaseLost);
    let set = world.caches[0].set("key:0", Some(7), None).await;
    assert_eq!(set.ok(), Some(SetOutcome::Invalidated));
    assert!(!world.is_in_l2("key:0").await);
    let explained = world.caches[0].explain("key:0").await.expect("a good key");
    assert_eq!(explained.l2.why_not, Some(Reason::SwitchedOff));
}

#[tokio::test(start_paused = true)]
async fn what_is_invalidated_while_l2_is_off_is_gone_everywhere() {
    let world = World::new().await;
    let switches = world.caches[0].switches();
    switches.set_l2(false);
    world.commit(0, 2).await;
    assert_eq!(world.get(0).await, (2, Tier::None));
    assert!(!world.is_in_l2("k").await);
    world.until_read(1, (2, Tier::L1)).await;
    world.commit(1, 3).await;
    world.until_read(1, (3, Tier::L1)).await;
    switches.set_l2(true);
    assert_eq!(world.get(0).await, (3, Tier::L2));
}

#[tokio::test(start_paused = true)]
async fn a_write_through_while_l2_is_off_only_invalidates() {
    let world = World::new().await;
    world.caches[0].switches().set_l2(false);
    let row = world.row.clone();
    let through = world.caches[0].write_through(move |_, value: Option<u64>| {
        row.store(value.unwrap_or_default(), Ordering::SeqCst);
        async move { Ok::<_, WriteError>(value) }
    });
    let receipt = through.put("k", 2).await.expect("it is written");
    assert!(!receipt.stored && receipt.refused.is_none());
    assert!(receipt.position.is_some(), "L2 was told");
    assert!(!world.is_in_l2("k").await);
    assert_eq!(world.get(0).await, (2, Tier::None));
    world.until_read(1, (2, Tier::L1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_is_only_made_shorter() {
    let world = World::new().await;
    let switches = world.caches[0].switches();
    let ttl = world.caches[0].policy().lifetime.ttl;
    for beyond in [Duration::ZERO, ttl + Duration::from_millis(1)] {
        let refused = switches.set_ttl_cap(Some(beyond)).expect_err("a limit");
        assert_eq!(refused.kind(), Kind::Invalid);
        assert!(refused.to_string().contains("between 1 ms"), "{refused}");
    }
    assert_eq!(switches.ttl_cap(), None);
    switches.set_ttl_cap(Some(SECOND)).expect("it is shorter");
    world.commit(0, 2).await;
    world.until_read(0, (2, Tier::L1)).await;
    world.until_read(1, (2, Tier::L1)).await;
    pace(SECOND).await;
    world.row.store(3, Ordering::SeqCst);
    assert_eq!(world.get(0).await, (3, Tier::None), "its second is over");
    switches.set_ttl_cap(None).expect("as the policy says");

    // What another process stores for longer lives no longer here.
    world.commit(1, 4).await;
    world.until_read(1, (4, Tier::L1)).await;
    switches.set_ttl_cap(Some(SECOND)).expect("it is shorter");
    pace(2 * SECOND).await;
    world.row.store(5, Ordering::SeqCst);
    assert_eq!(world.get(0).await, (5, Tier::None));
}

#[tokio::test(start_paused = true)]
async fn hits_are_compared_with_the_source_as_long_as_wanted() {
    let world = World::new().await;
    let switches = world.caches[0].switches();
    let refused = switches.set_shadow_per_million(Some(1_000_001));
    assert_eq!(refused.expect_err("a limit").kind(), Kind::Invalid);
    let compared = || world.compared.0.load(Ordering::SeqCst);
    switches
        .set_shadow_per_million(Some(1_000_000))
        .expect("all");
    assert_eq!(switches.shadow_per_million(), 1_000_000);
    let read = || async {
        world.get(0).await;
        compared() > 0
    };
    let waited = until(PATIENCE, "a hit is compared", read).await;
    waited.expect("every hit is");
    switches.set_shadow_per_million(None).expect("the policy's");
    assert_eq!(switches.shadow_per_million(), 0);
    pace(SECOND).await;
    let before = compared();
    for _ in 0..10 {
        world.get(0).await;
    }
    pace(SECOND).await;
    assert_eq!(compared(), before);
}

#[tokio::test(start_paused = true)]
async fn each_change_of_a_switch_is_logged_with_old_and_new() {
    let world = World::new().await;
    let logs = Logs::listen();
    let switches = world.caches[0].switches();
    switches.set_l1(true);
    assert!(logs.infos().is_empty(), "nothing has changed");
    switches.set_l1(false);
    switches.set_l2(false);
    switches.set_ttl_cap(Some(SECOND)).expect("it is shorter");
    switches.set_shadow_per_million(Some(5)).expect("a share");
    let infos = logs.infos();
    let expected = [
        ("l1", "on", "off"),
        ("l2", "on", "off"),
        ("ttl_cap", "as the policy", "1000 ms"),
        ("shadow_per_million", "as the policy", "5"),
    ];
    assert_eq!(infos.len(), expected.len(), "{infos:?}");
    for (line, (switch, old, new)) in infos.iter().zip(expected) {
        for part in [switch, old, new, "users"] {
            assert!(line.contains(part), "{line}");
        }
    }
}

/// One step of an operator, a writer or a reader.
#[derive(Clone, Copy, Debug)]
enum Step {
    L1(usize, bool),
    L2(usize, bool),
    Commit(usize),
    Read(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2usize, any::<bool>()).prop_map(|(process, on)| Step::L1(process, on)),
        (0..2usize, any::<bool>()).prop_map(|(process, on)| Step::L2(process, on)),
        (0..2usize).prop_map(Step::Commit),
        (0..2usize).prop_map(Step::Read),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_order_of_switching_brings_an_old_value_back(
        steps in proptest::collection::vec(any_step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build();
        runtime.expect("a runtime").block_on(walk(&steps));
    }
}

async fn walk(steps: &[Step]) {
    let world = World::new().await;
    let mut row = 1;
    for (at, step) in steps.iter().enumerate() {
        match *step {
            Step::L1(process, on) => world.caches[process].switches().set_l1(on),
            Step::L2(process, on) => world.caches[process].switches().set_l2(on),
            Step::Commit(process) => {
                row += 1;
                world.commit(process, row).await;
                assert_eq!(world.get(process).await.0, row, "step {at} of {steps:?}");
                // The other process hears of it by the bus, and does not go back then.
                let other = 1 - process;
                let heard = || async { world.get(other).await.0 == row };
                let waited = until(PATIENCE, "the other has heard", heard).await;
                waited.unwrap_or_else(|error| panic!("step {at} of {steps:?}: {error}"));
            }
            Step::Read(process) => {
                let read = world.get(process).await.0;
                assert_eq!(read, row, "step {at} of {steps:?}");
            }
        }
    }
}
