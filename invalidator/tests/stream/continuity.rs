//! Streams that lose events, begin anew, or are not there.

use crate::world::{RULES, World, short_stream, until, update};
use cache_core::Kind;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_dropped_unread_clear_every_cache() {
    let world = World::start().await;
    let context = world.jetstream().await;
    context
        .create_stream(short_stream(3))
        .await
        .expect("NATS is up");
    let running = world.run(RULES).await;
    world.publish(&[update(1)]).await;
    until("the first is done", || world.all_done()).await;
    running.stop().await;
    assert_eq!(world.cleared("users").await, (0, 0));

    // Of the events 2 to 10 the stream keeps three: nobody will read 2 to 7.
    let events: Vec<_> = (2..=10).map(update).collect();
    assert_eq!(world.publish(&events).await, 10);
    let running = world.run(RULES).await;
    until("the rest is done", || world.all_done()).await;
    until("all is cleared", async || {
        world.cleared("users").await == (0, 7)
    })
    .await;
    running.stop().await;
    assert_eq!(world.floor(10).await, (0, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_made_anew_goes_on_in_the_next_epoch() {
    let world = World::start().await;
    let running = world.live(RULES).await;
    world.publish(&[update(1), update(1), update(1)]).await;
    until("all three are done", || world.all_done()).await;
    make_anew(&world).await;

    // Position 1 again: in the old epoch it would invalidate nothing.
    world.publish(&[update(1)]).await;
    until("all from before is refused", || world.refused_below(1, 0)).await;
    until("the new event is done", async || {
        world.floor(1).await == (1, 1)
    })
    .await;
    assert_eq!(running.series("cacheaside_invalidator_epoch ").await, 1.0);
    running.stop().await;

    // The file still says 0, and L2 knows better.
    let running = world.live(RULES).await;
    world.publish(&[update(2)]).await;
    until("it is done", async || world.floor(2).await == (1, 2)).await;
    running.stop().await;
    assert!(
        world.refused_below(1, 0).await,
        "and nothing more is refused"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_made_anew_while_nobody_looked_begins_the_next_epoch() {
    let world = World::start().await;
    let running = world.live(RULES).await;
    world.publish(&[update(1), update(1), update(1)]).await;
    until("all three are done", || world.all_done()).await;
    running.stop().await;
    make_anew(&world).await;
    world.publish(&[update(1)]).await;
    let running = world.live(RULES).await;
    until("it is done", async || world.floor(1).await == (1, 1)).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_made_anew_that_has_outgrown_l2_begins_the_next_epoch() {
    let world = World::start().await;
    let running = world.live(RULES).await;
    world.publish(&[update(1)]).await;
    until("the first is done", || world.all_done()).await;
    running.stop().await;
    make_anew(&world).await;
    world.publish(&[update(1), update(1), update(1)]).await;
    let running = world.live(RULES).await;
    until("all are done", async || world.floor(1).await == (1, 3)).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_agree_on_one_epoch() {
    let world = World::start().await;
    let both = [world.live(RULES).await, world.live(RULES).await];
    world.publish(&[update(1), update(1), update(1)]).await;
    until("all three are done", || world.all_done()).await;
    make_anew(&world).await;
    for id in 1..=20 {
        world.publish(&[update(id)]).await;
    }
    until("all are done", || world.all_done()).await;
    until("the last is", async || world.floor(20).await == (1, 20)).await;
    for running in both {
        running.stop().await;
    }
    assert!(world.refused_below(1, 0).await, "raised once");
}

async fn make_anew(world: &World) {
    let context = world.jetstream().await;
    context.delete_stream("CDC").await.expect("it was there");
    context
        .create_stream(short_stream(-1))
        .await
        .expect("NATS is up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_l2_lost_while_everything_was_down_is_announced_again() {
    let world = World::start().await;
    let running = world.run(RULES).await;
    until("the buckets have begun", || world.refused_below(0, 0)).await;
    world.publish(&[update(1)]).await;
    until("the first is done", || world.all_done()).await;
    world.redis.save().await.expect("Redis is up");
    world.publish(&[update(2), update(3)]).await;
    until("all are done", || world.all_done()).await;
    running.stop().await;
    world.redis.restart().await.expect("it comes up again");
    assert_eq!(world.floor(1).await, (0, 1), "it was on disk");
    assert_eq!(world.floor(2).await, (0, 0), "it was confirmed, and lost");

    let running = world.run(RULES).await;
    running.stop().await;
    assert_eq!(world.floor(2).await, (0, 2));
    assert_eq!(world.floor(3).await, (0, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_stream_no_longer_has_is_refused_as_a_whole() {
    let world = World::start().await;
    let context = world.jetstream().await;
    context
        .create_stream(short_stream(1))
        .await
        .expect("NATS is up");
    let running = world.run(RULES).await;
    until("the buckets have begun", || world.refused_below(0, 0)).await;
    world.publish(&[update(1)]).await;
    until("the first is done", || world.all_done()).await;
    world.redis.save().await.expect("Redis is up");
    for id in 2..=4 {
        world.publish(&[update(id)]).await;
        until("it is done", || world.all_done()).await;
    }
    running.stop().await;
    world.redis.restart().await.expect("it comes up again");

    let running = world.run(RULES).await;
    until("every bucket is raised", || world.refused_below(0, 4)).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raised_epoch_refuses_every_value_of_the_old_one() {
    let world = World::start().await;
    let running = world.run(RULES).await;
    // A bucket that begins with the heartbeat after the event begins at its place.
    until("the buckets have begun", || world.refused_below(0, 0)).await;
    world.publish(&[update(1)]).await;
    until("it is done", || world.all_done()).await;
    running.stop().await;
    assert!(world.refused_below(0, 0).await, "nothing is refused yet");
    let raised = RULES.replace("[source]", "[source]\nepoch = 1");
    let running = world.run(&raised).await;
    until("every bucket is raised", || world.refused_below(1, 0)).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_request_does_not_read_on_in_a_stream_made_anew() {
    let world = World::start().await;
    let running = world.run(RULES).await;
    world.publish(&[update(1), update(1), update(1)]).await;
    until("all three are done", || world.all_done()).await;
    let context = world.jetstream().await;
    context.delete_stream("CDC").await.expect("it was there");
    let stream = context
        .create_stream(short_stream(-1))
        .await
        .expect("NATS is up");
    let durable = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some("invalidator".to_owned()),
        ..Default::default()
    };
    let mut consumer = stream.create_consumer(durable).await.expect("NATS is up");
    world.publish(&[update(1)]).await;
    let error = running
        .task
        .await
        .expect("no panic")
        .expect_err("it cannot go on");
    assert_eq!(error.kind(), Kind::Mismatch);
    let done = consumer
        .info()
        .await
        .expect("NATS is up")
        .ack_floor
        .stream_sequence;
    assert_eq!(done, 0, "the event waits for an instance in the new epoch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_there_is_named() {
    let world = World::start().await;
    let rules = "[source]\nstream = 'NOPE'\n[native]\ncaches = ['users']\n";
    let error = world
        .open(rules)
        .await
        .expect_err("there is no such stream");
    assert_eq!(error.kind(), Kind::Unavailable);
    let told = error.to_string();
    assert!(
        told.contains("NOPE") && told.contains("create_stream = true"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_that_is_something_else_is_refused() {
    let world = World::start().await;
    let context = world.jetstream().await;
    let stream = context
        .create_stream(short_stream(-1))
        .await
        .expect("NATS is up");
    let other = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some("invalidator".to_owned()),
        ack_policy: async_nats::jetstream::consumer::AckPolicy::None,
        ..Default::default()
    };
    stream.create_consumer(other).await.expect("NATS is up");
    let error = world
        .open(RULES)
        .await
        .expect_err("it never asks for answers");
    assert!(
        error.to_string().contains("setting up the consumer"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_reads_only_its_subjects() {
    let world = World::start().await;
    let rules = RULES.replace("[source]", "[source]\nfilter = 'cdc.public.orders'");
    let running = world.run(&rules).await;
    world.publish(&[update(1)]).await;
    let context = world.jetstream().await;
    let stored = context.publish("cdc.public.orders", update(2).into()).await;
    stored.expect("NATS is up").await.expect("it is stored");
    until("the second is done", async || {
        world.floor(2).await == (0, 2)
    })
    .await;
    running.stop().await;
    assert_eq!(world.floor(1).await, (0, 0));
}
