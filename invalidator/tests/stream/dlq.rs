//! Dead letters, listed, shown, tried again and dropped.

use crate::desk::Desk;
use crate::world::{RULES, World, until, update};
use async_nats::HeaderMap;
use async_nats::jetstream::message::StreamMessage;
use serde_json::Value;

/// Rules that miss a column in every update.
fn narrow() -> String {
    RULES.replace("user:{id}", "user:{email}")
}

/// Has an event become a letter.
async fn refused(world: &World, rules: &str, event: &str) {
    let running = world.run(rules).await;
    world.publish(&[event.to_owned()]).await;
    until("it is done", || world.all_done()).await;
    running.stop().await;
}

async fn newest(world: &World) -> StreamMessage {
    let stream = world.jetstream().await.get_stream("CDC").await;
    let stream = stream.expect("it is there");
    let last = stream.cached_info().state.last_sequence;
    stream.get_raw_message(last).await.expect("it is there")
}

async fn listed(desk: &Desk) -> Vec<Value> {
    let told = desk.done(&["dlq", "list", "--json"]).await;
    let line = |line| serde_json::from_str(line).expect("an object a line");
    told.out.lines().map(line).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_is_listed_and_shown_whole() {
    let world = World::start().await;
    refused(&world, RULES, "{ no\tJSON").await;
    let desk = Desk::new(&world, RULES);
    let listed = listed(&desk).await;
    let [letter] = &listed[..] else {
        panic!("{listed:?}");
    };
    assert_eq!(letter["letter"], 1);
    assert_eq!(letter["rule"], "none");
    assert_eq!(letter["subject"], "cdc.public.users");
    assert_eq!(
        (&letter["stream"], &letter["sequence"]),
        (&"CDC".into(), &1.into())
    );
    let reason = letter["reason"].as_str().expect("a reason");
    assert!(reason.contains("not JSON"), "{reason}");
    let text = desk.done(&["dlq", "list"]).await.out;
    assert!(text.contains("cdc.public.users"), "{text}");
    let event = desk.done(&["dlq", "show", "1", "--event"]).await.out;
    assert_eq!(event, "{ no\tJSON");
    let whole = desk.done(&["dlq", "show", "1"]).await.out;
    assert!(whole.contains("Cacheaside-Sequence: 1\n"), "{whole}");
    let whole = desk.done(&["dlq", "show", "1", "--json"]).await.json();
    assert_eq!(whole["event"], "{ no\tJSON");
    let none = desk.run(&["dlq", "show", "7"]).await;
    assert_eq!(none.code, 2, "{none:?}");
    assert!(none.err.contains("dlq list"), "{none:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_is_tried_again_at_a_new_place_once_the_rules_can_read_it() {
    let world = World::start().await;
    let running = world.run(&narrow()).await;
    let mut headers = HeaderMap::new();
    // With its id, the server would take the second attempt for a repetition.
    headers.insert("Nats-Msg-Id", "m1");
    headers.insert("Trace", "t1");
    let context = world.jetstream().await;
    let event = update(7);
    let sent = context.publish_with_headers("cdc.public.users", headers, event.clone().into());
    sent.await.expect("NATS is up").await.expect("it is stored");
    until("it is done", || world.all_done()).await;
    running.stop().await;

    let told = Desk::new(&world, &narrow())
        .run(&["dlq", "retry", "1"])
        .await;
    assert_eq!(told.code, 3, "{told:?}");
    assert!(told.out.contains("a dead letter again"), "{told:?}");
    let desk = Desk::new(&world, RULES);
    assert_eq!(listed(&desk).await.len(), 1, "it was kept");
    assert_eq!(newest(&world).await.sequence, 1, "nothing was published");

    let running = world.run(RULES).await;
    desk.done(&["dlq", "retry", "--all"]).await;
    until("it is invalidated", async || world.floor(7).await == (0, 2)).await;
    running.stop().await;
    assert_eq!(listed(&desk).await, Vec::<Value>::new());
    let again = newest(&world).await;
    assert_eq!(
        (again.subject.as_str(), &again.payload[..]),
        ("cdc.public.users", event.as_bytes())
    );
    let header = |name: &str| again.headers.get(name).map(|value| value.as_str());
    assert_eq!(header("Trace"), Some("t1"));
    assert_eq!(header("Nats-Msg-Id"), None);
    assert_eq!(header("Cacheaside-Retried"), Some("CACHEASIDE_DLQ:1"));
    assert_eq!(header("Cacheaside-Reason"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_published_again_is_kept() {
    let world = World::start().await;
    refused(&world, RULES, &"x".repeat(1024 * 1024 - 64)).await;
    let told = Desk::new(&world, RULES).run(&["dlq", "retry", "1"]).await;
    assert_eq!(told.code, 3, "{told:?}");
    assert!(told.out.contains("too large to be kept whole"), "{told:?}");

    let elsewhere = RULES.replace("'CDC'", "'OTHER'");
    let told = Desk::new(&world, &elsewhere)
        .run(&["dlq", "retry", "1"])
        .await;
    assert_eq!(told.code, 3, "{told:?}");
    assert!(told.out.contains("an event of `CDC`"), "{told:?}");

    let narrow = Desk::new(&world, &narrow());
    refused(&world, &self::narrow(), &update(7)).await;
    let context = world.jetstream().await;
    context.delete_stream("CDC").await.expect("it was there");
    let told = Desk::new(&world, RULES).run(&["dlq", "retry", "2"]).await;
    assert_eq!(told.code, 4, "{told:?}");
    assert_eq!(listed(&narrow).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_dropped_when_that_is_really_meant() {
    let world = World::start().await;
    let running = world.run(RULES).await;
    world
        .publish(&["{".to_owned(), "[".to_owned(), "x".to_owned()])
        .await;
    until("they are done", || world.all_done()).await;
    running.stop().await;
    let desk = Desk::new(&world, RULES);
    let told = desk.run(&["dlq", "drop", "--all"]).await;
    assert_eq!(told.code, 2, "{told:?}");
    assert!(told.err.contains("nothing was deleted"), "{told:?}");
    assert_eq!(listed(&desk).await.len(), 3);
    desk.done(&["dlq", "drop", "2", "--yes"]).await;
    let left: Vec<_> = listed(&desk)
        .await
        .iter()
        .map(|one| one["letter"].clone())
        .collect();
    assert_eq!(left, [1, 3]);
    // Letters of another consumer are not this one's.
    let other = RULES.replace("[source]", "[source]\ndurable = 'other'");
    let told = Desk::new(&world, &other)
        .done(&["dlq", "drop", "--all", "--yes"])
        .await;
    assert_eq!(told.json()["deleted"], 0);
    let told = desk.done(&["dlq", "drop", "--all", "--yes"]).await;
    assert_eq!(told.json()["deleted"], 2);
    assert_eq!(listed(&desk).await.len(), 0);
    assert_eq!(desk.run(&["dlq", "drop", "--yes"]).await.code, 2, "which?");
}
