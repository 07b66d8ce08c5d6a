//! What operators throw out: keys, caches, what past events meant, everything.

use crate::desk::Desk;
use crate::inspect::{KEY, holder};
use crate::world::{RULES, World, until, update};
use cache_core::Cache;
use cache_core::source::Cause;
use cache_core::testkit::fleet::{in_l1, keeps_in_l1};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// What a reader gets while the source has 2.
async fn read(cache: &Cache<u64>) -> u64 {
    let load = async |_| Ok::<_, Cause>(Some(2));
    let loaded = cache.get_or_load(KEY, load).await;
    *loaded.expect("the source answers").expect("it has a value")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_flushed_is_gone_in_both_tiers() {
    let world = World::start().await;
    let running = world.run(RULES).await;
    let (_domain, cache, _) = holder(&world).await;
    assert_eq!(read(&cache).await, 1, "what is cached is believed");
    let desk = Desk::new(&world, RULES);
    let told = desk.done(&["flush", "--key", "users:user:8"]).await;
    assert_eq!(told.out, "gone everywhere: key users:user:8\n");
    until("it is kept again", || keeps_in_l1(&cache, KEY, 1)).await;
    for (value, flushed) in [
        (2, &["flush", "--key", "users:user:7"][..]),
        (3, &["flush", "--cache", "users", "--yes"]),
        (4, &["bump", "--cache", "users", "--yes"]),
    ] {
        desk.done(flushed).await;
        until("L1 has heard", async || !in_l1(&cache, KEY).await).await;
        // This fails if L2 still has the value from before.
        until("it is loaded", || keeps_in_l1(&cache, KEY, value)).await;
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_surely_meant_is_not_flushed() {
    let world = World::start().await;
    let desk = Desk::new(&world, RULES);
    let whole = desk.run(&["flush", "--cache", "users"]).await;
    assert_eq!(whole.code, 2, "{whole:?}");
    assert!(whole.err.contains("say --yes"), "{whole:?}");
    let mistyped = desk.run(&["flush", "--key", "usres:user:7"]).await;
    assert_eq!(mistyped.code, 2, "{mistyped:?}");
    assert!(
        mistyped.err.contains("did you mean `users`?"),
        "{mistyped:?}"
    );
    let nothing = desk.run(&["flush"]).await;
    assert_eq!(nothing.code, 2, "{nothing:?}");
    for (what, runbook) in [
        (
            &["bump", "--cache", "users"][..],
            "Clearing the cache `users`",
        ),
        (&["bump", "--epoch"], "Raising the epoch"),
    ] {
        let told = desk.run(what).await;
        assert_eq!(told.code, 2, "{told:?}");
        assert!(told.out.starts_with(runbook), "{told:?}");
        assert!(told.err.contains("nothing was done"), "{told:?}");
    }
    world.redis.kill9();
    let away = desk.run(&["flush", "--key", "users:user:7"]).await;
    assert_eq!(away.code, 4, "{away:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_throws_out_also_what_claims_to_be_younger() {
    let world = World::start().await;
    // A second time would throw it out as well.
    let rules = RULES.replacen('\n', "\nrepeat_after = '0s'\n", 1);
    let running = world.run(&rules).await;
    world.publish(&[update(7)]).await;
    until("it is done", || world.all_done()).await;
    let (_domain, cache, _) = holder(&world).await;
    assert_eq!(world.floor(7).await, (0, 0), "L2 has a value");
    // At its old place the event spares the value, which was loaded later.
    world.forget_consumer().await;
    world.publish(&[update(8)]).await;
    until("both are done", async || {
        world.floor(8).await == (0, 2) && world.all_done().await
    })
    .await;
    assert_eq!(world.floor(7).await, (0, 0), "L2 has it still");

    let desk = Desk::new(&world, RULES);
    let replay = ["replay", "--from-seq", "1", "--to-seq", "1", "--json"];
    let counts = |dry| {
        json!({"events": 1, "first": 1, "last": 1, "announced": 1, "unreadable": 0,
            "dry_run": dry})
    };
    let dry = desk.done(&[&replay[..], &["--dry-run"]].concat()).await;
    assert_eq!(dry.json(), counts(true));
    assert_eq!(world.floor(7).await, (0, 0), "nothing was done");
    assert_eq!(desk.done(&replay).await.json(), counts(false));
    until("L1 has heard", async || !in_l1(&cache, KEY).await).await;
    until("it is loaded", || keeps_in_l1(&cache, KEY, 2)).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_keeps_its_range_and_its_rate() {
    let world = World::start().await;
    let running = world.run(RULES).await;
    let mut events: Vec<_> = (1..=20).map(|id| update(id % 5)).collect();
    events.push("{".to_owned());
    world.publish(&events).await;
    until("all are done", || world.all_done()).await;
    running.stop().await;
    let desk = Desk::new(&world, RULES);
    let count = async |arguments: &[&str]| {
        let told = desk
            .done(&[&["replay", "--json"], arguments].concat())
            .await;
        let told = told.json();
        [&told["events"], &told["announced"], &told["unreadable"]].map(|n| n.as_u64())
    };
    assert_eq!(
        count(&["--from-seq", "19"]).await,
        [Some(3), Some(3), Some(1)]
    );
    assert_eq!(
        count(&["--from-seq", "99"]).await,
        [Some(0), Some(0), Some(0)]
    );
    assert_eq!(
        count(&["--since", "1h", "--to-seq", "2"]).await,
        [Some(2), Some(2), Some(0)]
    );
    let began = Instant::now();
    let slowly = ["--from-seq", "1", "--to-seq", "20", "--rate", "20"];
    assert_eq!(count(&slowly).await, [Some(20), Some(5), Some(0)]);
    assert!(
        began.elapsed() >= Duration::from_millis(900),
        "20 events at 20 a second"
    );
    let nowhere = desk.run(&["replay"]).await;
    assert_eq!(nowhere.code, 2, "{nowhere:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bumped_epoch_refuses_everything_and_instances_follow() {
    let world = World::start().await;
    let both = [world.live(RULES).await, world.live(RULES).await];
    world.publish(&[update(1), update(2)]).await;
    until("both are done", || world.all_done()).await;
    let told = Desk::new(&world, RULES)
        .done(&["bump", "--epoch", "--yes"])
        .await;
    assert!(told.out.ends_with("The epoch is 1.\n"), "{told:?}");
    assert!(world.refused_below(1, 0).await, "when the command ends");
    for running in &both {
        until("it follows", || {
            running.shows("cacheaside_invalidator_epoch ", "1")
        })
        .await;
    }
    world.publish(&[update(1)]).await;
    until("it is carried there", async || {
        world.floor(1).await == (1, 3)
    })
    .await;
    for running in both {
        running.stop().await;
    }
    let told = Desk::new(&world, RULES)
        .done(&["bump", "--epoch", "--yes"])
        .await;
    assert!(told.out.ends_with("The epoch is 2.\n"), "{told:?}");
    let running = world.live(RULES).await;
    assert_eq!(running.series("cacheaside_invalidator_epoch ").await, 2.0);
    running.stop().await;
}
