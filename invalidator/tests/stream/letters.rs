//! Events that cannot be read.

use crate::world::{RULES, World, until, update};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_event_is_kept_whole_and_clears_its_cache() {
    let world = World::start().await;
    let running = world.run(RULES).await;
    let whole = update(7);
    let cut = whole[..whole.len() - 9].to_owned();
    let events = [update(1), cut.clone(), update(2)];
    world.publish(&events).await;
    until("all three are done", || world.all_done()).await;
    running.stop().await;

    assert_eq!(world.floor(1).await, (0, 1));
    assert_eq!(world.cleared("users").await, (0, 2));
    assert_eq!(world.floor(2).await, (0, 3));
    let letters = world.letters().await;
    let [letter] = &letters[..] else {
        panic!("{letters:?}");
    };
    assert_eq!(letter.payload, cut.as_bytes());
    assert_eq!(letter.subject.as_str(), "cacheaside.dlq.invalidator.none");
    let header = |name: &str| {
        letter
            .headers
            .get(name)
            .map(|value| value.as_str().to_owned())
    };
    assert_eq!(header("Cacheaside-Stream").as_deref(), Some("CDC"));
    assert_eq!(header("Cacheaside-Sequence").as_deref(), Some("2"));
    assert_eq!(
        header("Cacheaside-Subject").as_deref(),
        Some("cdc.public.users")
    );
    assert_eq!(header("Cacheaside-Truncated"), None);
    let reason = header("Cacheaside-Reason").expect("a reason");
    assert!(reason.contains("not JSON"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_go_along_and_those_for_nats_do_not_act() {
    let world = World::start().await;
    let running = world.run(RULES).await;
    let context = world.jetstream().await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Expected-Stream", "CDC");
    headers.insert("Trace", "t1");
    let stored = context
        .publish_with_headers("cdc.public.users", headers, "{".into())
        .await;
    stored.expect("NATS is up").await.expect("it is stored");
    until("it is done", || world.all_done()).await;
    running.stop().await;
    let letters = world.letters().await;
    let header = |name: &str| {
        letters[0]
            .headers
            .get(name)
            .map(|value| value.as_str().to_owned())
    };
    assert_eq!(
        header("Original-Nats-Expected-Stream").as_deref(),
        Some("CDC")
    );
    assert_eq!(
        header("Nats-Expected-Stream"),
        None,
        "the letter would have been refused"
    );
    assert_eq!(header("Trace").as_deref(), Some("t1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_as_large_as_nats_carries_is_cut() {
    let world = World::start().await;
    let running = world.run(RULES).await;
    let size = 1024 * 1024 - 64;
    world.publish(&["x".repeat(size)]).await;
    until("it is done", || world.all_done()).await;
    running.stop().await;
    let letters = world.letters().await;
    let cut = letters[0]
        .headers
        .get("Cacheaside-Truncated")
        .map(|value| value.as_str());
    assert_eq!(cut, Some(size.to_string().as_str()));
    assert!(letters[0].payload.len() > size / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_event_refused_twice_is_one_letter() {
    let world = World::start().await;
    let running = world.run(RULES).await;
    until("the buckets have begun", || world.refused_below(0, 0)).await;
    world.publish(&["{".to_owned()]).await;
    until("it is done", || world.all_done()).await;
    // The consumer is forgotten, and with it that the event was done.
    world.forget_consumer().await;
    world.publish(&[update(2)]).await;
    until("it comes again, and then the next", async || {
        world.floor(2).await == (0, 2) && world.all_done().await
    })
    .await;
    running.stop().await;
    assert_eq!(world.letters().await.len(), 1);
}
