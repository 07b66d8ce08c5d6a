//! Many keys in one call: what each of them is promised alone, and what it costs.

use cache_core::bus::memory::MemoryBus;
use cache_core::clock::Clock;
use cache_core::event::Tier;
use cache_core::policy::UnleasedSet;
use cache_core::source::{Cause, Loaded, Loader, Wanted};
use cache_core::strategy::batch::BATCH_MAX;
use cache_core::testkit::clock::RuntimeClock;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::troubled::TroubledRemote;
use cache_core::testkit::until::pace;
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, Domain, Kind, Lookup, Policy, Role, SetOutcome};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

const TTL: Duration = Duration::from_secs(60);

/// Two processes over one L2, and a source whose row `n` is `n`, and absent from 100 on.
struct World {
    remote: Arc<TroubledRemote>,
    caches: [Cache<u64>; 2],
    source: Source,
    _domains: [Arc<Domain>; 2],
}

#[derive(Clone)]
struct Source {
    /// What each load was asked for.
    asked: Arc<Mutex<Vec<Vec<String>>>>,
    /// The loads that may go on.
    gate: Arc<Semaphore>,
    fails: Arc<AtomicBool>,
}

impl Source {
    async fn load(self, wanted: Vec<Wanted<u64>>) -> Result<Vec<Option<u64>>, Cause> {
        let names: Vec<_> = wanted.iter().map(Wanted::text).collect();
        let rows = names.iter().map(|name| name.parse().ok());
        let rows = rows.map(|row| row.filter(|row| *row < 100)).collect();
        self.asked.lock().push(names);
        self.gate.acquire().await?.forget();
        match self.fails.load(Ordering::Relaxed) {
            true => Err("the source is away".into()),
            false => Ok(rows),
        }
    }

    /// What was asked for since the last time, in any order within a load.
    fn asked(&self) -> Vec<Vec<String>> {
        let mut asked = std::mem::take(&mut *self.asked.lock());
        asked.iter_mut().for_each(|one| one.sort());
        asked
    }
}

fn policy() -> Policy {
    let mut policy = Policy::new("users").expect("a name");
    policy.lifetime.ttl = TTL;
    policy.lifetime.jitter = 0.0;
    policy.unleased_set = UnleasedSet::Stores;
    policy
}

impl World {
    async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RuntimeClock::new());
        let remote = Arc::new(TroubledRemote::new(clock.clone()));
        let fleet = Fleet::over(remote.clone(), Arc::new(MemoryBus::new()), clock);
        let (one, first) = member(&fleet).await;
        let (two, second) = member(&fleet).await;
        Self {
            remote,
            caches: [first, second],
            source: Source {
                asked: Arc::default(),
                gate: Arc::new(Semaphore::new(1_000)),
                fails: Arc::default(),
            },
            _domains: [one, two],
        }
    }

    /// The rows of a batch, and the tiers they are from; an error by its kind.
    async fn get(&self, process: usize, keys: &[&str]) -> Vec<Result<(Option<u64>, Tier), Kind>> {
        let source = self.source.clone();
        let load = move |wanted| source.clone().load(wanted);
        let all = self.caches[process].get_many_or_load(keys, load).await;
        let all = all.expect("good keys").into_iter();
        all.map(|one| match one {
            Ok(Some(hit)) => Ok((Some(*hit), hit.tier())),
            Ok(None) => Ok((None, Tier::None)),
            Err(error) => Err(error.kind()),
        })
        .collect()
    }
}

async fn member(fleet: &Fleet) -> (Arc<Domain>, Cache<u64>) {
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&domain).await;
    let cache = Cache::open(&domain, policy(), Bincode::default()).expect("a policy");
    (domain, cache)
}

fn from(tier: Tier, rows: &[u64]) -> Vec<Result<(Option<u64>, Tier), Kind>> {
    rows.iter().map(|row| Ok((Some(*row), tier))).collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_batch_misses_is_loaded_by_one_call() {
    let world = World::new().await;
    assert_eq!(world.get(0, &["1", "2"]).await, from(Tier::None, &[1, 2]));
    assert_eq!(world.source.asked(), [["1", "2"]]);
    let all = world.get(0, &["5", "1", "4", "2", "200"]).await;
    let expected = [
        (Some(5), Tier::None),
        (Some(1), Tier::L1),
        (Some(4), Tier::None),
    ];
    assert_eq!(all[..3], expected.map(Ok));
    assert_eq!(all[3..], [Ok((Some(2), Tier::L1)), Ok((None, Tier::None))]);
    assert_eq!(world.source.asked(), [["200", "4", "5"]]);
    // The other process has them from L2, absences too.
    assert_eq!(world.get(1, &["4", "1"]).await, from(Tier::L2, &[4, 1]));
    assert_eq!(world.get(1, &["200"]).await, [Ok((None, Tier::None))]);
    assert_eq!(world.source.asked(), Vec::<Vec<String>>::new());
}

#[tokio::test(start_paused = true)]
async fn a_batch_takes_as_long_as_one_key() {
    let world = World::new().await;
    *world.remote.latency.lock() = Duration::from_millis(5);
    let keys: Vec<_> = (0..100).map(|row| row.to_string()).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    let began = tokio::time::Instant::now();
    let rows: Vec<_> = (0..100).collect();
    assert_eq!(world.get(0, &keys).await, from(Tier::None, &rows));
    let missed = began.elapsed();
    assert!(
        missed < Duration::from_millis(25),
        "read, lease and fill: {missed:?}"
    );
    assert_eq!(world.source.asked().len(), 1);
    assert_eq!(world.get(1, &keys).await, from(Tier::L2, &rows));
    let hit = began.elapsed() - missed;
    assert!(
        hit < Duration::from_millis(15),
        "a read, and one of the tag's floor: {hit:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_others_load_is_neither_loaded_again_nor_waited_for() {
    let world = World::new().await;
    // Another process holds the lease of 1, and a caller of this one loads 2.
    let Ok(Lookup::Miss(ticket)) = world.caches[1].get("1").await else {
        panic!("nothing is stored")
    };
    let gate = Arc::new(Semaphore::new(0));
    let (cache, waits) = (world.caches[0].clone(), gate.clone());
    let alone = tokio::spawn(async move {
        let load = async move |_| {
            waits.acquire().await?.forget();
            Ok::<_, Cause>(Some(2))
        };
        cache.get_or_load("2", load).await
    });
    pace(Duration::from_millis(1)).await;
    let batch = world.get(0, &["1", "2", "3"]);
    let others = async {
        while world.source.asked.lock().is_empty() {
            pace(Duration::from_millis(1)).await;
        }
        assert_eq!(world.source.asked(), [["3"]]);
        gate.add_permits(1);
        ticket.fill(Some(1), None).await.expect("it can be encoded");
    };
    let (all, ()) = tokio::join!(batch, others);
    assert_eq!(all[0], Ok((Some(1), Tier::L2)));
    assert_eq!(all[1..], from(Tier::None, &[2, 3]));
    assert_eq!(world.source.asked(), Vec::<Vec<String>>::new());
    alone.await.expect("no panic").expect("it loads");
}

#[tokio::test(start_paused = true)]
async fn a_key_invalidated_while_its_batch_is_loaded_is_not_kept() {
    let world = World::new().await;
    world.source.gate.forget_permits(1_000);
    let batch = world.get(0, &["1", "2"]);
    let change = async {
        while world.source.asked.lock().is_empty() {
            pace(Duration::from_millis(1)).await;
        }
        world.caches[1].invalidate("1").await.expect("L2 is there");
        world.source.gate.add_permits(100);
    };
    let (all, ()) = tokio::join!(batch, change);
    assert_eq!(all, from(Tier::None, &[1, 2]), "the callers have them");
    let again = world.get(0, &["1", "2"]).await;
    assert_eq!(again, [Ok((Some(1), Tier::None)), Ok((Some(2), Tier::L1))]);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_fails_costs_only_what_it_was_asked_for() {
    let world = World::new().await;
    world.get(0, &["1"]).await;
    world.source.fails.store(true, Ordering::Relaxed);
    let all = world.get(0, &["1", "2", "3"]).await;
    assert_eq!(all[0], Ok((Some(1), Tier::L1)));
    assert_eq!(all[1..], [Err(Kind::LoadFailed), Err(Kind::LoadFailed)]);
    // Expired, and not invalidated: fail-safe holds key by key.
    pace(TTL).await;
    let all = world.get(0, &["1", "2"]).await;
    assert!(matches!(all[0], Ok((Some(1), Tier::L1))), "{all:?}");
    assert_eq!(all[1], Err(Kind::LoadFailed));
    world.source.fails.store(false, Ordering::Relaxed);
    assert_eq!(
        world.get(0, &["2"]).await,
        from(Tier::None, &[2]),
        "leases were given back"
    );
}

#[tokio::test(start_paused = true)]
async fn a_loader_that_answers_too_few_or_panics_stores_nothing() {
    let world = World::new().await;
    let cache = &world.caches[0];
    let too_few = |_| async { Ok::<_, Cause>(vec![Some(1)]) };
    let all = cache.get_many_or_load(&["1", "2"], too_few).await;
    let errors: Vec<_> = all
        .expect("good keys")
        .into_iter()
        .map(Result::unwrap_err)
        .collect();
    assert!(
        errors[1].to_string().contains("2 keys were wanted"),
        "{}",
        errors[1]
    );
    let panics = |_| async { panic!("as told") };
    let all = cache
        .get_many_or_load::<_, _, _, Option<u64>, Cause>(&["1", "2"], panics)
        .await;
    let kinds = all
        .expect("good keys")
        .into_iter()
        .map(|one| one.unwrap_err().kind());
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        [Kind::LoadPanicked, Kind::LoadPanicked]
    );
    assert_eq!(world.get(1, &["1", "2"]).await, from(Tier::None, &[1, 2]));
}

#[tokio::test(start_paused = true)]
async fn keys_that_waited_in_vain_are_loaded_together_too() {
    let world = World::new().await;
    let keys: Vec<_> = (0..20).map(|row| row.to_string()).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    // The other process takes all leases, and does not load.
    let tickets = world.caches[1].get_many(&keys).await.expect("good keys");
    let rows: Vec<_> = (0..20).collect();
    assert_eq!(world.get(0, &keys).await, from(Tier::None, &rows));
    assert_eq!(world.source.asked().len(), 1);
    drop(tickets);
}

#[tokio::test(start_paused = true)]
async fn two_callers_that_look_up_the_same_keys_hold_each_other_up_in_nothing() {
    let world = World::new().await;
    let [one, two] = &world.caches;
    let began = tokio::time::Instant::now();
    let (first, second) = tokio::join!(one.get_many(&["1", "2"]), two.get_many(&["2", "1"]));
    assert!(
        began.elapsed() < Duration::from_millis(10),
        "{:?}",
        began.elapsed()
    );
    let leases = |all: &[Lookup<u64>]| {
        let leased = |one: &&Lookup<u64>| matches!(one, Lookup::Miss(ticket) if ticket.has_lease());
        all.iter().filter(leased).count()
    };
    let (first, second) = (first.expect("good keys"), second.expect("good keys"));
    assert_eq!(leases(&first) + leases(&second), 2, "one for each key");
}

#[tokio::test(start_paused = true)]
async fn a_key_given_twice_is_loaded_once_and_has_one_ticket() {
    let world = World::new().await;
    let all = world.get(0, &["1", "2", "1"]).await;
    assert_eq!(all, from(Tier::None, &[1, 2, 1]));
    assert_eq!(world.source.asked(), [["1", "2"]]);
    let all = world.caches[0].get_many(&["1", "7", "7", "1"]).await;
    let leases: Vec<_> = all
        .expect("good keys")
        .iter()
        .map(|one| match one {
            Lookup::Hit(hit) => Some(**hit == 1),
            Lookup::Absent => None,
            Lookup::Miss(ticket) => Some(ticket.has_lease()),
        })
        .collect();
    assert_eq!(leases, [Some(true), Some(true), Some(false), Some(true)]);
}

#[tokio::test(start_paused = true)]
async fn many_are_set_and_invalidated_as_one_is() {
    let world = World::new().await;
    let [writer, reader] = &world.caches;
    world.get(1, &["1", "2", "3"]).await;
    let values = vec![("1", Loaded::value(11)), ("2", Loaded::value(12))];
    let all = writer.set_many(values, None).await.expect("good keys");
    let stored = all.iter().all(|one| matches!(one, Ok(SetOutcome::Stored)));
    assert!(stored, "{all:?}");
    pace(Duration::from_millis(1)).await;
    assert_eq!(world.get(1, &["1", "2"]).await, from(Tier::L2, &[11, 12]));
    assert_eq!(writer.invalidate_many(&["1", "3"]).await.ok(), Some(true));
    pace(Duration::from_millis(1)).await;
    let all = reader.get_many(&["1", "2", "3"]).await.expect("good keys");
    let missed = all.iter().map(|one| matches!(one, Lookup::Miss(_)));
    assert_eq!(missed.collect::<Vec<_>>(), [true, false, true]);
}

#[tokio::test]
async fn a_batch_with_a_bad_key_or_too_many_does_nothing() {
    let world = World::new().await;
    let keys = vec!["1"; BATCH_MAX + 1];
    let cache = &world.caches[0];
    let error = cache.invalidate_many(&keys).await.expect_err("too many");
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("4097 keys"), "{error}");
    let source = world.source.clone();
    let load = move |wanted| source.clone().load(wanted);
    let all = cache.get_many_or_load(&["1", ""], load).await;
    assert_eq!(all.err().map(|error| error.kind()), Some(Kind::Invalid));
    assert_eq!(world.source.asked(), Vec::<Vec<String>>::new());
}

#[test]
fn a_caller_that_goes_away_outside_of_the_runtime_costs_nobody_the_load() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread");
    let world = runtime.block_on(World::new());
    *world.remote.latency.lock() = Duration::from_millis(5);
    let (cache, source) = (world.caches[0].clone(), world.source.clone());
    let mut batch = Box::pin(async move {
        let load = move |wanted| source.clone().load(wanted);
        cache.get_many_or_load(&["1", "2"], load).await
    });
    runtime.block_on(async {
        // Both are asked of L2 when the caller loses its patience.
        let early = tokio::time::timeout(Duration::from_millis(1), &mut batch).await;
        assert!(early.is_err(), "L2 takes longer");
    });
    drop(batch);
    let all = runtime.block_on(world.get(1, &["1", "2"]));
    assert!(
        all.iter().all(|one| matches!(one, Ok((Some(_), _)))),
        "{all:?}"
    );
    assert_eq!(world.source.asked().len(), 1, "the batch went on");
}

/// A loader of many that counts its calls.
struct Bulk(Arc<AtomicU64>);

#[async_trait::async_trait]
impl Loader<u64> for Bulk {
    async fn load(&self, _: Wanted<u64>) -> Result<Loaded<u64>, Cause> {
        Err("one by one".into())
    }

    fn is_bulk(&self) -> bool {
        true
    }

    async fn load_many(&self, wanted: Vec<Wanted<u64>>) -> Result<Vec<Loaded<u64>>, Cause> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let number = |one: &Wanted<u64>| one.text().parse().ok();
        Ok(wanted.iter().map(number).map(Into::into).collect())
    }
}

#[tokio::test]
async fn a_registered_loader_loads_many_in_one_call_or_one_by_one() {
    let fleet = Fleet::in_memory();
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    let policy = Policy::new("users").expect("a name");
    let cache: Cache<u64> = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
    let calls = Arc::new(AtomicU64::new(0));
    let keys: Vec<_> = (0..100).map(|key: u64| key.to_string()).collect();
    let all = cache
        .read_through(Bulk(calls.clone()))
        .get_many(&keys)
        .await;
    let all = all.expect("good keys");
    let values = all
        .iter()
        .map(|one| one.as_ref().expect("it is loaded").as_deref());
    assert!(values.eq((0..100).collect::<Vec<_>>().iter().map(Some)));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let one = cache.read_through(|_: Wanted<u64>| async { Ok::<_, Cause>(Some(7)) });
    let some = one.get_many(&["1", "new"]).await.expect("good keys");
    let values = some
        .iter()
        .map(|one| one.as_ref().expect("it is loaded").as_deref());
    assert!(values.eq([Some(&1), Some(&7)]));
}
