//! Servers that go away.

use crate::world::{RULES, World, until, update};
use cache_core::Kind;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_when_nats_is_back() {
    let world = World::start().await;
    let running = world.run(RULES).await;
    world.publish(&[update(1)]).await;
    until("the first is done", || world.all_done()).await;
    world.nats.kill9();
    world.nats.restart().await.expect("it comes back");
    world.publish(&[update(2)]).await;
    until("the second is done", async || {
        world.floor(2).await == (0, 2)
    })
    .await;
    until("and answered for", || world.all_done()).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_when_somebody_deleted_its_consumer() {
    let world = World::start().await;
    let running = world.run(RULES).await;
    world.publish(&[update(1)]).await;
    until("the first is done", || world.all_done()).await;
    world.forget_consumer().await;
    world.publish(&[update(2)]).await;
    until("the second is done", async || {
        world.floor(2).await == (0, 2)
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_wait_for_a_redis_that_is_away() {
    let world = World::start().await;
    let running = world.run(RULES).await;
    world.publish(&[update(1)]).await;
    until("the first is done", || world.all_done()).await;
    world.redis.kill9();
    world.publish(&[update(2), update(3)]).await;
    let taken = async || !world.all_done().await;
    until("they are taken", taken).await;
    world.redis.restart().await.expect("it comes back");
    until("they are done", || world.all_done()).await;
    running.stop().await;
    // Higher where the heartbeat found the bucket empty first, and raised it.
    assert!(world.floor(2).await >= (0, 2));
    assert!(world.floor(3).await >= (0, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_at_the_start_is_named() {
    let world = World::start().await;
    world.redis.kill9();
    let error = world.open(RULES).await.expect_err("Redis is away");
    assert_eq!(error.kind(), Kind::Unavailable, "exit code 4");
    assert!(error.to_string().contains("connecting to Redis"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_aborted_instance_had_comes_to_the_next_one() {
    let world = World::start().await;
    let aborted = world.run(RULES).await;
    // A bucket that had no watermark yet would begin at the last event given out.
    until("its buckets have begun", || world.refused_below(0, 0)).await;
    world.redis.pause().await.expect("it runs");
    world.publish(&[update(1), update(2)]).await;
    until("they are taken", async || !world.all_done().await).await;
    aborted.task.abort();
    assert!(aborted.task.await.is_err());
    world.redis.resume().await.expect("it hung");
    let next = world.run(RULES).await;
    until("they are done", || world.all_done()).await;
    next.stop().await;
    assert_eq!(world.floor(1).await, (0, 1));
    assert_eq!(world.floor(2).await, (0, 2));
}
