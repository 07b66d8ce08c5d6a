//! A pause: what stops, what goes on, and who knows of it.

use crate::desk::Desk;
use crate::inspect::{KEY, holder, member};
use crate::world::{RULES, World, until, update};
use cache_core::event::Tier;
use cache_core::source::Cause;
use cache_core::testkit::fleet::in_l1;
use cache_core::testkit::until;
use cache_core::{Ask, Cache, Lookup};
use serde_json::{Value, json};
use std::time::Duration;

const PAUSED: &str = "cacheaside_invalidator_paused ";

async fn pending(desk: &Desk) -> (Value, Value) {
    let lag = desk.done(&["lag", "--json"]).await.json();
    let ours = &lag["consumers"][0];
    (ours["pending"].clone(), ours["unacknowledged"].clone())
}

/// What a reader gets while the source has 2.
async fn ask(cache: &Cache<u64>, ask: Ask) -> u64 {
    let load = async |_| Ok::<_, Cause>(Some(2));
    let loaded = cache.get_or_load_with(KEY, &ask, load).await;
    *loaded.expect("the source answers").expect("it has a value")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_stops_all_instances_and_outlives_them() {
    let world = World::start().await;
    let desk = Desk::new(&world, RULES);
    let both = [world.live(RULES).await, world.live(RULES).await];
    world.publish(&[update(1)]).await;
    until("it is done", || world.all_done()).await;
    let told = desk.done(&["pause", "--why", "a test"]).await;
    assert_eq!(told.out, "paused: no event is in hand\n");
    assert!(told.err.contains("the staleness bound is void"), "{told:?}");
    world.publish(&[update(2), update(3)]).await;
    for running in &both {
        until("it says so", || running.shows(PAUSED, "1")).await;
        assert!(running.is_ready().await, "a paused instance is ready");
    }
    let lag = desk.done(&["lag", "--json"]).await.json();
    assert_eq!(lag["paused"]["why"], "a test");
    let text = desk.done(&["lag"]).await.out;
    assert!(text.contains("PAUSED since"), "{text}");
    for running in both {
        running.stop().await;
    }

    let next = world.live(RULES).await;
    until("it says so too", || next.shows(PAUSED, "1")).await;
    assert_eq!(pending(&desk).await, (json!(2), json!(0)));
    assert_eq!(world.floor(2).await, (0, 0));
    let told = desk.done(&["resume"]).await;
    assert!(told.out.starts_with("resumed"), "{told:?}");
    until("what waited is carried", async || {
        world.floor(2).await == (0, 2) && world.floor(3).await == (0, 3)
    })
    .await;
    until("it says so", || next.shows(PAUSED, "0")).await;
    assert_eq!(desk.done(&["resume"]).await.out, "was not paused\n");
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_taken_at_once_after_many_pauses() {
    let world = World::start().await;
    let desk = Desk::new(&world, RULES);
    let running = world.live(RULES).await;
    for id in 1..=3 {
        desk.done(&["pause"]).await;
        let place = world.publish(&[update(id)]).await;
        desk.done(&["resume"]).await;
        until("it is carried", async || {
            world.floor(id).await == (0, place)
        })
        .await;
    }
    let lag = desk.done(&["lag", "--json"]).await.json();
    assert_eq!(lag["consumers"][0]["redelivered"], 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_paused_l1_does_not_answer_and_bounded_reads_are_right() {
    let world = World::start().await;
    let desk = Desk::new(&world, RULES);
    let running = world.live(RULES).await;
    let (domain, cache, _) = holder(&world).await;
    assert_eq!(ask(&cache, Ask::default()).await, 1);
    desk.done(&["pause"]).await;
    world.publish(&[update(7)]).await;
    until("nobody trusts L1", async || {
        !domain.trust().holds(domain.clock().now())
    })
    .await;
    assert!(!in_l1(&cache, KEY).await);
    // It is what L2 has, and too old: that is what a pause means.
    let hit = cache.get(KEY).await.expect("L2 answers");
    assert!(matches!(hit, Lookup::Hit(hit) if hit.tier() == Tier::L2 && *hit == 1));
    assert_eq!(ask(&cache, Ask::bounded(Duration::from_millis(1))).await, 2);
    assert!(!domain.trust().holds(domain.clock().now()), "it stays so");

    desk.done(&["resume"]).await;
    until("L1 is trusted again", async || {
        domain.trust().holds(domain.clock().now())
    })
    .await;
    until("the event is done", || world.all_done()).await;
    assert_eq!(ask(&cache, Ask::default()).await, 2);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_begins_paused_lets_nobody_trust_l1() {
    let world = World::start().await;
    let desk = Desk::new(&world, RULES);
    desk.done(&["setup"]).await;
    desk.done(&["pause"]).await;
    let running = world.live(RULES).await;
    until("the buckets have begun", || world.refused_below(0, 0)).await;
    let (domain, _) = member(&world).await;
    let trusted = async || domain.trust().holds(domain.clock().now());
    let span = domain.timing().trust;
    let waited = until::until(span, "L1 is trusted", trusted).await;
    assert!(
        waited.is_err(),
        "its heartbeat says that it carries nothing"
    );
    desk.done(&["resume"]).await;
    until("L1 is trusted", trusted).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restore_paused_instances_go_on_in_the_next_epoch() {
    let world = World::start().await;
    let desk = Desk::new(&world, RULES);
    let running = world.live(RULES).await;
    let (domain, cache, _) = holder(&world).await;
    world.publish(&[update(1)]).await;
    until("it is done", || world.all_done()).await;
    desk.done(&["pause", "--why", "restore"]).await;
    let told = desk.done(&["bump", "--epoch", "--yes"]).await;
    assert!(told.out.ends_with("The epoch is 1.\n"), "{told:?}");
    until("it follows", || {
        running.shows("cacheaside_invalidator_epoch ", "1")
    })
    .await;
    until("and rests", || running.shows(PAUSED, "1")).await;
    world.publish(&[update(1)]).await;
    assert_eq!(
        ask(&cache, Ask::default()).await,
        2,
        "nothing of before is served"
    );
    until("nobody trusts L1", async || {
        !domain.trust().holds(domain.clock().now())
    })
    .await;
    assert_eq!(pending(&desk).await, (json!(1), json!(0)));
    desk.done(&["resume"]).await;
    until("it is carried", async || world.floor(1).await == (1, 2)).await;
    until("L2 has been told", async || {
        let lag = desk.done(&["lag", "--json"]).await.json();
        lag["l2_seen"] == json!({"epoch": 1, "sequence": 2})
    })
    .await;
    running.stop().await;
}
