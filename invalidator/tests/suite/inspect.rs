//! The inspector over an L2 and a bus in memory, in time that leaps: what it finds, and
//! what it leaves alone.

use crate::world::{World, bucket_of, name, until, update, users};
use cache_core::bus::Bus;
use cache_core::bus::memory::MemoryBus;
use cache_core::coherence::announce::{Announced, Change};
use cache_core::metrics::Metrics as DomainMetrics;
use cache_core::source::Cause;
use cache_core::testkit::clock::RuntimeClock;
use cache_core::testkit::deaf::Deaf;
use cache_core::testkit::fleet::{Fleet, in_l1, keeps_in_l1, until_trusted};
use cache_core::testkit::logs::Logs;
use cache_core::testkit::until::pace;
use cache_core::tier::memory::MemoryRemote;
use cache_core::tier::{Record, Remote};
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, Domain, Key, Policy, Position, Role};
use invalidator::inspect::InspectorSettings;
use invalidator::inspect::inspector::Inspector;
use invalidator::inspect::sampler::{self, Sampler};
use invalidator::metrics::Metrics;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const KEY: &[u8] = b"user:7";
/// By then the last look is taken, in time that leaps.
const LAST_LOOK: Duration = Duration::from_secs(90);

/// An invalidator's domain with an inspector in it.
struct Inspected {
    fleet: Fleet,
    domain: Arc<Domain>,
    sampler: Sampler,
    registry: Registry,
}

impl Inspected {
    async fn start(fleet: Fleet) -> Self {
        let fleet = fleet.with_invalidator();
        let mut registry = Registry::default();
        let observer = Arc::new(DomainMetrics::new(&mut registry));
        let joined = fleet.join_observed(Role::Invalidator, observer).await;
        let domain = joined.expect("the bus is there");
        let metrics = Arc::new(Metrics::new(&mut registry, "CDC"));
        let (sampler, samples) = sampler::channel(InspectorSettings::default()).expect("a rate");
        domain.run(Inspector::new(&domain, metrics, samples).run());
        Self {
            fleet,
            domain,
            sampler,
            registry,
        }
    }

    /// Announces a change, as the outbox does.
    async fn announce(&self, key: &[u8], offset: u64) {
        let key = Key::new(key).expect("a key");
        let position = Position::new(0, offset, 0);
        let change = Change::key(&name("users"), key, Some(position));
        let announcer = self.domain.announcer();
        let answers = announcer.announce(std::slice::from_ref(&change)).await;
        assert_eq!(answers, Ok(vec![Announced::Everywhere(position)]));
        let now = self.fleet.clock.now();
        assert!(self.sampler.offer(change.target(), position, now));
    }

    /// A cache of one more process, which listens by `bus`, and holds the key in L1.
    async fn holder(&self, bus: Arc<dyn Bus>) -> (Arc<Domain>, Cache<u64>) {
        let fleet = Fleet {
            bus,
            ..self.fleet.clone()
        };
        let domain = fleet.join(Role::Member).await.expect("the bus is there");
        until_trusted(&domain).await;
        let policy = Policy::new("users").expect("a name");
        let cache = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
        until("L1 holds it", || keeps_in_l1(&cache, KEY, 1)).await;
        (domain, cache)
    }

    fn series(&self, series: &str) -> f64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("it can be written");
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        let value = line.unwrap_or_else(|| panic!("no {series} in {text}"));
        value.trim().parse().expect("a number")
    }

    fn looks(&self, look: &str, outcome: &str) -> f64 {
        self.series(&format!(
            "cacheaside_inspections_total{{tier=\"l2\",look=\"{look}\",outcome=\"{outcome}\"}}"
        ))
    }

    async fn looked(&self, look: &str, outcome: &str, count: f64) {
        let what = format!("{look} {outcome}");
        let there = || async { self.looks(look, outcome) == count };
        let waited = cache_core::testkit::until::until(LAST_LOOK, &what, there).await;
        waited.expect("it is looked at");
    }
}

fn clock() -> Arc<RuntimeClock> {
    Arc::new(RuntimeClock::new())
}

#[tokio::test(start_paused = true)]
async fn an_old_value_back_in_l2_is_found_told_and_announced_again() {
    let logs = Logs::listen();
    let (clock, bus) = (clock(), Arc::new(MemoryBus::new()));
    let remote = Arc::new(MemoryRemote::new(clock.clone()));
    let world = Inspected::start(Fleet::over(remote.clone(), bus.clone(), clock)).await;
    let _holder = world.holder(bus).await;
    let address = users().address(Key::new(KEY).expect("a key"));
    let before = remote.image();
    world.announce(KEY, 9).await;
    remote.go_back_at(&address, &before);

    world.looked("1s", "violated", 1.0).await;
    until("it is mended", async || {
        let reading = remote.read(&address).await.expect("memory");
        let floor = Position::new(0, 9, 0);
        reading.record == Some(Record::Mark { floor })
    })
    .await;
    let errors = logs.errors();
    let [error] = &errors[..] else {
        panic!("{errors:?}");
    };
    for wanted in [
        "users: key user:7",
        "position=0.9.0",
        "look=\"1s\"",
        "found=a value as of 0.0.0, in a bucket that has applied 0.9.0",
        "it is announced again",
    ] {
        assert!(error.contains(wanted), "{wanted}: {error}");
    }

    // What is lost again is found again, by the next look, which knows the one before.
    remote.go_back_at(&address, &before);
    world.looked("10s", "violated", 1.0).await;
    let errors = logs.errors();
    assert!(errors[1].contains("before=1s violated"), "{errors:?}");
    world.looked("60s", "held", 1.0).await;
    assert_eq!(logs.errors().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_l1_that_did_not_hear_is_told_drops_it_and_is_reported() {
    let (clock, inner) = (clock(), Arc::new(MemoryBus::new()));
    let remote = Arc::new(MemoryRemote::new(clock.clone()));
    let world = Inspected::start(Fleet::over(remote, inner.clone(), clock)).await;
    let bus = Arc::new(Deaf {
        inner,
        deaf: Arc::default(),
    });
    let (_domain, cache) = world.holder(bus.clone()).await;
    bus.deaf.store(true, Ordering::SeqCst);
    world.announce(KEY, 9).await;
    pace(Duration::from_millis(500)).await;
    assert!(in_l1(&cache, KEY).await, "it knows nothing of it");
    let logs = Logs::listen();
    let reports = "cacheaside_invalidator_inspector_l1_violations_total";
    until("it is reported", async || world.series(reports) == 1.0).await;
    assert!(!in_l1(&cache, KEY).await, "and it has dropped it");
    let errors = logs.errors();
    let [own, reported] = &errors[..] else {
        panic!("{errors:?}");
    };
    assert!(own.contains("L1 held what had been invalidated"), "{own}");
    for wanted in ["tier=\"l1\"", "held=0.0.0", "in_l2=1s held"] {
        assert!(reported.contains(wanted), "{wanted}: {reported}");
    }
    world.looked("60s", "held", 1.0).await;
    assert_eq!(world.series(reports), 1.0, "the later looks found nothing");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_violated_in_a_calm_run() {
    let logs = Logs::listen();
    let (clock, bus) = (clock(), Arc::new(MemoryBus::new()));
    let remote = Arc::new(MemoryRemote::new(clock.clone()));
    let world = Inspected::start(Fleet::over(remote, bus.clone(), clock)).await;
    let (_domain, cache) = world.holder(bus).await;
    for offset in 1..=30 {
        // One key that is filled again each time, and many that are not.
        world.announce(KEY, 2 * offset).await;
        world
            .announce(offset.to_string().as_bytes(), 2 * offset + 1)
            .await;
        let load = move |_| async move { Ok::<_, Cause>(Some(offset)) };
        let loaded = cache.get_or_load(KEY, load).await;
        assert!(loaded.expect("the source answers").is_some());
        pace(Duration::from_millis(100)).await;
    }
    world.looked("60s", "held", 60.0).await;
    for look in ["1s", "10s", "60s"] {
        assert_eq!(world.looks(look, "held"), 60.0);
        assert_eq!(world.looks(look, "violated"), 0.0);
        assert_eq!(world.looks(look, "unknown"), 0.0);
    }
    let nines = || world.series("cacheaside_invalidator_inspector_nines");
    until("the last round ends", async || {
        (nines() - (180.0_f64 / 3.0).log10()).abs() < 1e-9
    })
    .await;
    assert_eq!(logs.errors(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_l2_that_does_not_answer_is_neither_held_nor_violated() {
    let world = World::new();
    let remote = world.remote.clone();
    let fleet = Fleet::over(remote.clone(), Arc::new(MemoryBus::new()), clock());
    let inspected = Inspected::start(fleet).await;
    inspected.announce(KEY, 9).await;
    remote.lose([bucket_of("user:7")]);
    inspected.looked("1s", "unknown", 1.0).await;
    remote.recover();
    inspected.looked("10s", "held", 1.0).await;
    assert_eq!(inspected.looks("1s", "held"), 0.0);
    assert_eq!(inspected.looks("1s", "violated"), 0.0);
}

#[tokio::test]
async fn a_full_queue_drops_samples_and_counts_them_and_holds_up_nobody() {
    let mut world = World::new();
    let (sampler, mut samples) = sampler::channel(InspectorSettings { rate: 8 }).expect("a rate");
    world.sampler = Some(sampler);
    let running = world.start();
    for id in 0..20 {
        world.stream.publish(update(id));
    }
    until("the acks", async || world.stream.unanswered().is_empty()).await;
    running.stop().await;
    assert_eq!(world.not_sampled(), 12);
    let taken: usize = (0..10).map(|_| samples.take().count()).sum();
    assert_eq!(taken, 8);
}

#[tokio::test(start_paused = true)]
async fn what_l2_has_not_taken_is_not_looked_at_yet() {
    let mut world = World::new();
    let (sampler, mut samples) = sampler::channel(InspectorSettings::default()).expect("a rate");
    world.sampler = Some(sampler);
    world.remote.lose([bucket_of("user:7")]);
    for _ in 0..10 {
        world.stream.publish(update(7));
    }
    let running = world.start();
    until("they are taken", async || world.stream.due().is_empty()).await;
    pace(Duration::from_secs(2)).await;
    assert_eq!(samples.take().count(), 0);
    world.remote.recover();
    until("the acks", async || world.stream.unanswered().is_empty()).await;
    running.stop().await;
    let offsets: Vec<_> = samples.take().map(|one| one.position.offset).collect();
    assert_eq!(offsets, [10], "each target once, at its highest");
}
