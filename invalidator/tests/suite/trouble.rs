//! The loop when something is away, broken or at an end: no event is lost, none is
//! acked early, and the healthy part goes on.

use crate::world::until;
use crate::world::{World, bucket_of, update};
use cache_core::model::key::Bucket;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_sick_shard_holds_up_nobody_but_its_own_keys() {
    let world = World::new();
    let running = world.start();
    world.remote.lose([bucket_of("user:1")]);
    let sick = world.stream.publish(update(1));
    for id in 2..40 {
        world.stream.publish(update(id));
    }
    until("the healthy ones", async || {
        world.stream.unanswered() == [sick]
    })
    .await;
    assert_eq!(world.floor("user:1").await, None);
    world.remote.recover();
    until("the sick one", async || {
        world.stream.unanswered().is_empty()
    })
    .await;
    running.stop().await;
    assert_eq!(world.floor("user:1").await, Some(sick));
    assert_eq!(
        world.stream.attempts(sick),
        1,
        "repeated here, not by the stream"
    );
    let publishes = world.log().iter().filter(|line| *line == "publish").count();
    assert!(
        publishes < 10,
        "told once, and again when L2 had it: {publishes}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_late_event_keeps_the_patience_of_the_stream() {
    let world = World::new();
    let running = world.start();
    world.remote.lose(Bucket::all());
    world.stream.publish(update(1));
    until("it is taken", async || world.stream.due().is_empty()).await;
    world.clock.turn(world.settings.ack_wait / 2);
    let patience = || {
        world
            .log()
            .iter()
            .filter(|line| *line == "progress 1")
            .count()
    };
    until("it asks for patience", async || patience() >= 1).await;
    world.remote.recover();
    until("the ack", async || world.stream.unanswered().is_empty()).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_the_bus_nothing_is_acked_and_all_of_it_is_announced_again() {
    let world = World::new();
    let running = world.start();
    world.bus.broken.store(true, Ordering::Relaxed);
    world.stream.publish(update(1));
    until("L2 has it", async || world.floor("user:1").await == Some(1)).await;
    until("it is tried again", async || {
        world.log().iter().filter(|line| *line == "apply 1").count() >= 3
    })
    .await;
    assert_eq!(world.stream.unanswered(), [1]);
    world.bus.broken.store(false, Ordering::Relaxed);
    until("the ack", async || world.stream.unanswered().is_empty()).await;
    running.stop().await;
    let log = world.log();
    let (publish, ack) = (at(&log, "publish"), at(&log, "ack 1"));
    assert!(publish < ack, "{log:?}");
}

fn at(log: &[String], line: &str) -> usize {
    log.iter()
        .position(|one| one == line)
        .unwrap_or_else(|| panic!("no {line} in {log:?}"))
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_is_bounded() {
    let mut world = World::new();
    world.settings.in_flight_max = 20;
    world.remote.lose(Bucket::all());
    for id in 0..100 {
        world.stream.publish(update(id));
    }
    let running = world.start();
    until("the limit", async || world.stream.due().len() == 80).await;
    // Ten more rounds of the late ones, and still nothing more is taken.
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(world.stream.due().len(), 80);
    world.remote.recover();
    until("all acks", async || world.stream.unanswered().is_empty()).await;
    running.stop().await;
}

#[tokio::test]
async fn a_malformed_event_becomes_a_letter_and_clears_what_it_may_have_meant() {
    let world = World::new();
    let running = world.start();
    let whole = update(7);
    let cut = &whole[..whole.len() - 20];
    world.stream.publish(cut);
    until("the ack", async || world.stream.unanswered().is_empty()).await;
    running.stop().await;
    let log = world.log();
    assert!(at(&log, "publish") < at(&log, "letter 1"), "{log:?}");
    assert!(at(&log, "letter 1") < at(&log, "ack 1"), "{log:?}");
    assert_eq!(world.cleared("users").await, Some(1));
    assert_eq!(world.cleared("sessions").await, Some(1));
    let letters = world.letters.written.lock();
    let [letter] = &letters[..] else {
        panic!("{letters:?}");
    };
    assert_eq!(letter.payload, cut.as_bytes());
    assert_eq!(letter.headers, [("trace".to_owned(), "t1".to_owned())]);
    assert!(letter.why.contains("not JSON"), "{}", letter.why);
}

#[tokio::test]
async fn a_letter_that_cannot_be_written_gives_its_event_back() {
    let world = World::new();
    let running = world.start();
    world.letters.broken.store(true, Ordering::Relaxed);
    world.stream.publish("{");
    until("it came back", async || world.stream.attempts(1) >= 2).await;
    assert_eq!(world.stream.unanswered(), [1], "never silently lost");
    world.letters.broken.store(false, Ordering::Relaxed);
    until("the ack", async || world.stream.unanswered().is_empty()).await;
    running.stop().await;
    assert_eq!(world.letters.written.lock().len(), 1);
}

#[tokio::test]
async fn an_event_that_came_back_too_often_is_given_up_with_a_letter() {
    let world = World::new();
    let sequence = world.stream.publish(update(7));
    let mut first = world.start();
    for _ in 0..world.settings.attempts_max {
        until("an ack", async || world.stream.unanswered().is_empty()).await;
        world.stream.deliver(sequence);
    }
    until("the last ack", async || {
        world.stream.unanswered().is_empty()
    })
    .await;
    assert_eq!(world.letters.written.lock().len(), 1);
    assert_eq!(world.cleared("users").await, Some(sequence));
    first.stop.cancel();
    assert!((&mut first.task).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_end_finishes_what_can_be_finished_and_gives_back_the_rest() {
    let world = World::new();
    let running = world.start();
    world.remote.lose([bucket_of("user:1")]);
    let sick = world.stream.publish(update(1));
    let fine = world.stream.publish(update(2));
    until("both are taken", async || world.stream.due().is_empty()).await;
    running.stop().await;
    assert_eq!(world.stream.unanswered(), [sick]);
    assert_eq!(world.stream.due(), [sick], "for another instance, at once");
    assert_eq!(world.floor("user:2").await, Some(fine));

    world.remote.recover();
    let next = world.start();
    until("the next one did it", async || {
        world.stream.unanswered().is_empty()
    })
    .await;
    next.stop().await;
    assert_eq!(world.floor("user:1").await, Some(sick));
}

#[tokio::test(start_paused = true)]
async fn an_end_after_which_nothing_can_be_finished_waits_for_nothing() {
    let world = World::new();
    let running = world.start();
    world.remote.lose([bucket_of("user:1")]);
    let sick = world.stream.publish(update(1));
    until("it is taken", async || world.stream.due().is_empty()).await;
    let asked = Instant::now();
    running.give_up.cancel();
    running.stop().await;
    assert_eq!(world.stream.due(), [sick], "for the next epoch, at once");
    let took = asked.elapsed();
    assert!(took < world.settings.drain / 2, "it drained for {took:?}");
}

#[tokio::test]
async fn an_invalidator_killed_between_bus_and_ack_loses_nothing() {
    let world = World::new();
    let killed = world.start();
    world.letters.broken.store(true, Ordering::Relaxed);
    // A letter that cannot be written holds the event right before its ack.
    let poison = world.stream.publish("{");
    until("it is announced", async || {
        world.cleared("users").await == Some(poison)
    })
    .await;
    killed.task.abort();
    let _ = killed.task.await;
    world.letters.broken.store(false, Ordering::Relaxed);
    if world.stream.due().is_empty() {
        world.stream.deliver(poison);
    }
    let other = world.start();
    until("the other one did it", async || {
        world.stream.unanswered().is_empty()
    })
    .await;
    other.stop().await;
    assert_eq!(world.letters.written.lock().len(), 1);
}
