//! The inspector over real servers: an L2 that goes back by itself, and an L1 that did
//! not hear.

use crate::world::{RULES, World, until, update};
use cache_core::bus::nats::NatsBus;
use cache_core::clock::SystemClock;
use cache_core::source::Cause;
use cache_core::testkit::deaf::Deaf;
use cache_core::testkit::fleet::{Fleet, in_l1, keeps_in_l1, until_trusted};
use cache_core::testkit::logs::Logs;
use cache_core::tier::redis::{Deployment, RedisRemote};
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, Domain, Name, Policy, Role};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) const KEY: &str = "user:7";

fn looks(tier: &str, look: &str, outcome: &str) -> String {
    format!("cacheaside_inspections_total{{tier=\"{tier}\",look=\"{look}\",outcome=\"{outcome}\"}}")
}

/// A library process, which may turn a deaf ear.
pub(crate) async fn member(world: &World) -> (Arc<Domain>, Arc<AtomicBool>) {
    let name = Name::new("main").expect("a name");
    let url = world.redis.url();
    let deployment = Deployment::Single { url };
    let remote = RedisRemote::connect(name.clone(), &deployment, Duration::from_secs(2)).await;
    let bus = NatsBus::connect(&world.nats.url(), "cacheaside", &name).await;
    let deaf = Arc::<AtomicBool>::default();
    let bus = Deaf {
        inner: Arc::new(bus.expect("NATS is up")),
        deaf: deaf.clone(),
    };
    let remote = Arc::new(remote.expect("Redis is up"));
    let clock = Arc::new(SystemClock::new());
    let mut fleet = Fleet::over(remote, Arc::new(bus), clock).with_invalidator();
    fleet.timing = Default::default();
    (fleet.join(Role::Member).await.expect("NATS is up"), deaf)
}

/// One that holds the user's value in L1.
pub(crate) async fn holder(world: &World) -> (Arc<Domain>, Cache<u64>, Arc<AtomicBool>) {
    let (domain, deaf) = member(world).await;
    until_trusted(&domain).await;
    let policy = Policy::new("users").expect("a name");
    let cache = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
    until("L1 holds it", || keeps_in_l1(&cache, KEY, 1)).await;
    (domain, cache, deaf)
}

#[tokio::test]
async fn an_old_record_put_back_by_hand_is_found_told_and_mended() {
    let logs = Logs::listen();
    let world = World::start().await;
    // Told a second time after a second, it might be mended by that, before the first look.
    let rules = RULES.replacen('\n', "\nrepeat_after = '0s'\n", 1);
    let running = world.run(&rules).await;
    let _holder = holder(&world).await;
    let record = world.record(7);
    let kept = world.redis_says(&format!("COPY {record} old")).await;
    assert_eq!(kept, ":1", "the value is there");
    let place = world.publish(&[update(7)]).await;
    until("it is invalidated", async || {
        world.floor(7).await == (0, place)
    })
    .await;
    let put = world
        .redis_says(&format!("COPY old {record} REPLACE"))
        .await;
    assert_eq!(put, ":1", "the old value is back");

    // By the first look, unless this machine took more than a second to put it there.
    until("it is mended", async || world.floor(7).await == (0, place)).await;
    let violated = async |look| running.series(&looks("l2", look, "violated")).await;
    assert_eq!(violated("1s").await + violated("10s").await, 1.0);
    let errors = logs.errors();
    let told = |error: &&String| error.contains("users: key user:7");
    let told: Vec<_> = errors.iter().filter(told).collect();
    let [error] = told[..] else {
        panic!("{errors:?}");
    };
    assert!(error.contains("found=a value as of"), "{error}");
    running.stop().await;
}

#[tokio::test]
async fn a_member_that_did_not_hear_is_told_and_drops_its_copy() {
    let logs = Logs::listen();
    let world = World::start().await;
    let running = world.run(RULES).await;
    let (_domain, cache, deaf) = holder(&world).await;
    deaf.store(true, Ordering::SeqCst);
    let place = world.publish(&[update(7)]).await;
    until("L2 has it", async || world.floor(7).await == (0, place)).await;
    let reports = "cacheaside_invalidator_inspector_l1_violations_total";
    until("it is reported", async || {
        running.series(reports).await == 1.0
    })
    .await;
    assert!(!in_l1(&cache, KEY).await, "it has dropped it");
    let errors = logs.errors();
    let told = |error: &String| error.contains("tier=\"l1\"") && error.contains("user:7");
    assert!(errors.iter().any(told), "{errors:?}");
    assert_eq!(running.series(&looks("l2", "1s", "violated")).await, 0.0);
    running.stop().await;
}

#[tokio::test]
async fn many_are_looked_at_and_nothing_is_violated() {
    let logs = Logs::listen();
    let world = World::start().await;
    let running = world.run(RULES).await;
    let (_domain, cache, _) = holder(&world).await;
    let events: Vec<_> = (0..200).map(|n| update(n % 20)).collect();
    world.publish(&events).await;
    until("all are done", || world.all_done()).await;
    let load = async |_| Ok::<_, Cause>(Some(2));
    let loaded = cache.get_or_load(KEY, load).await;
    assert!(loaded.expect("the source answers").is_some());
    until("they are looked at", async || {
        running.series(&looks("l2", "1s", "held")).await >= 20.0
    })
    .await;
    for outcome in ["violated", "unknown"] {
        assert_eq!(running.series(&looks("l2", "1s", outcome)).await, 0.0);
    }
    let nines = running.series("cacheaside_invalidator_inspector_nines");
    assert!(nines.await > 0.0);
    running.stop().await;
    assert_eq!(logs.errors(), Vec::<String>::new());
}
