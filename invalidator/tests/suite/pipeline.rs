//! The loop when all goes well, and when the stream does what streams do: deliver
//! twice, late and in any order, to several at once.

use crate::world::until;
use crate::world::{World, update};
use cache_core::bus::{Bus, Heard};
use cache_core::wire::invalidation::{Content, Message};
use invalidator::settings::Repeat;
use proptest::prelude::*;
use std::time::Duration;

#[tokio::test]
async fn l2_then_the_bus_then_the_ack() {
    let world = World::new();
    let running = world.start();
    world.stream.publish(update(7));
    until("the ack", async || world.stream.unanswered().is_empty()).await;
    running.stop().await;
    assert_eq!(world.log(), ["apply 1", "publish", "ack 1"]);
    assert_eq!(world.floor("user:7").await, Some(1));
}

#[tokio::test]
async fn a_batch_announces_each_key_once_at_its_highest_position() {
    let world = World::new();
    for _ in 0..10 {
        world.stream.publish(update(7));
    }
    let mut heard = world.bus.subscribe().await.expect("memory");
    let running = world.start();
    until("the acks", async || world.stream.unanswered().is_empty()).await;
    running.stop().await;
    let Some(Heard::Message(bytes)) = heard.next().await else {
        panic!("no message");
    };
    let message = Message::decode(&bytes).expect("a message");
    let Content::Invalidate(all) = message.content else {
        panic!("{message:?}");
    };
    let offsets: Vec<_> = all.iter().map(|one| one.position.offset).collect();
    assert_eq!(offsets, [10]);
}

#[tokio::test]
async fn a_redelivered_old_event_lowers_nothing() {
    let world = World::new();
    let running = world.start();
    for _ in 0..5 {
        world.stream.publish(update(7));
    }
    until("the acks", async || world.stream.unanswered().is_empty()).await;
    world.stream.deliver(2);
    until("its second ack", async || {
        world.log().iter().filter(|line| *line == "ack 2").count() == 2
    })
    .await;
    running.stop().await;
    assert_eq!(world.floor("user:7").await, Some(5));
}

#[tokio::test]
async fn what_nobody_maps_is_acked_and_says_nothing() {
    let world = World::new();
    let running = world.start();
    world.stream.publish(update(7).replace("public", "private"));
    world.stream.publish("");
    until("the acks", async || world.stream.unanswered().is_empty()).await;
    running.stop().await;
    assert_eq!(world.log(), ["ack 1", "ack 2"]);
}

#[tokio::test]
async fn a_native_event_needs_no_rule() {
    let world = World::new();
    let running = world.start();
    let event = r#"{"cacheaside": 1, "cache": "users", "keys": ["user:7"], "tags": ["*"]}"#;
    world.stream.publish(event);
    until("the ack", async || world.stream.unanswered().is_empty()).await;
    running.stop().await;
    assert_eq!(world.floor("user:7").await, Some(1));
    assert_eq!(world.cleared("users").await, Some(1));
}

/// Deliveries of ten events about three keys, in any order and any number.
fn deliveries() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(1..=10u64, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_order_and_number_of_deliveries_ends_the_same(
        order in deliveries(),
        instances in 1..=3usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let world = World::new();
            for event in 1..=10 {
                world.stream.store(update(event % 3));
            }
            let running: Vec<_> = (0..instances).map(|_| world.start()).collect();
            for sequence in order.into_iter().chain(1..=10) {
                world.stream.deliver(sequence);
                tokio::task::yield_now().await;
            }
            until("the acks", async || world.stream.unanswered().is_empty()).await;
            for one in running {
                one.stop().await;
            }
            let floors = [world.floor("user:0").await, world.floor("user:1").await, world.floor("user:2").await];
            assert_eq!(floors, [Some(9), Some(10), Some(8)]);
        });
    }
}

#[tokio::test]
async fn what_is_told_a_second_time_is_answered_for_only_then() {
    let mut world = World::new();
    world.settings.repeat = Repeat::Early(Duration::from_millis(100));
    let running = world.start();
    world.stream.publish(update(7));
    let told = |times: usize| {
        let log = world.log();
        log.iter().filter(|line| *line == "publish").count() == times
    };
    until("it is told", async || told(1)).await;
    assert!(
        !world.log().contains(&"ack 1".to_owned()),
        "{:?}",
        world.log()
    );
    until("the ack", async || world.stream.unanswered().is_empty()).await;
    assert!(told(2), "{:?}", world.log());
    assert_eq!(world.log().last().map(String::as_str), Some("ack 1"));

    // Whoever stops in between gives it back, and has it told by the next one.
    world.stream.publish(update(8));
    until("it is told", async || told(3)).await;
    running.give_up.cancel();
    running.stop().await;
    assert_eq!(world.stream.unanswered().len(), 1, "{:?}", world.log());
}

#[tokio::test]
async fn only_what_may_come_early_is_told_a_second_time_unless_all_is_asked_for() {
    let native = r#"{"cacheaside": 1, "cache": "users", "keys": ["user:7"]}"#;
    let after = Duration::from_millis(20);
    let cases = [
        (Repeat::Early(after), update(7), 2),
        (Repeat::Early(after), "no event".to_owned(), 2),
        (Repeat::Early(after), native.to_owned(), 1),
        (Repeat::All(after), native.to_owned(), 2),
        (Repeat::NEVER, update(7), 1),
    ];
    for (repeat, event, times) in cases {
        let mut world = World::new();
        world.settings.repeat = repeat;
        let running = world.start();
        world.stream.publish(event.as_str());
        until("the ack", async || world.stream.unanswered().is_empty()).await;
        running.stop().await;
        let log = world.log();
        let told = log.iter().filter(|line| *line == "publish").count();
        assert_eq!(told, times, "{repeat:?} {event}: {log:?}");
    }
}
