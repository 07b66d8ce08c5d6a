//! How much goes over one stream at once, and what it costs.

use crate::line::{Line, PATIENCE, asking, called, reason, waiting};
use crate::world::{World, hit, quick};
use cache_agent::config::Limits;
use cache_agent::proto::v1::{self, FillOutcome};
use cache_core::testkit::until::until;
use futures_util::{FutureExt, Stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Messages that have been asked for, by how often the stream was polled.
fn counted(
    messages: Vec<v1::ExchangeRequest>,
) -> (
    Arc<AtomicUsize>,
    impl Stream<Item = Result<v1::ExchangeRequest, Status>> + Unpin,
) {
    let read = Arc::new(AtomicUsize::new(0));
    let count = read.clone();
    let stream = tokio_stream::iter(messages).map(move |message| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(message)
    });
    (read, stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_in_l1_is_answered_without_a_task_and_with_what_came_with_it() {
    let world = World::embedded().await;
    world.unix.store("user:1", "Ada").await;
    world.unix.get("user:1").await;
    let message = |from: u64| v1::ExchangeRequest {
        calls: (from..from + 10)
            .map(|id| called(id, asking("user:1")))
            .collect(),
    };
    let (read, calls) = counted(vec![message(0), message(10), message(20)]);
    let mut exchange = world.app.agent.exchange(calls, None).expect("a turn");
    // Once polled, on the spot: whatever had to wait for a task would not be there.
    let answers = exchange.next().now_or_never().expect("no waiting");
    let answers = answers.expect("a message").expect("no error").answers;
    assert_eq!(answers.len(), 30, "all that was there, in one message");
    assert_eq!(read.load(Ordering::SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_read_no_further_than_it_has_room_for_calls() {
    let limits = Limits {
        stream_calls_max: 2,
        ..Limits::default()
    };
    let world = World::embedded_with(quick(), limits).await;
    let token = world.unix.lease("user:1").await;
    let message = |id| v1::ExchangeRequest {
        calls: vec![called(id, waiting("user:1"))],
    };
    let (read, calls) = counted((0..5).map(message).collect());
    let mut exchange = world.app.agent.exchange(calls, None).expect("a turn");
    assert!(exchange.next().now_or_never().is_none(), "both wait");
    assert_eq!(
        read.load(Ordering::SeqCst),
        2,
        "the others are still with the caller"
    );
    let outcome = world.unix.fill("user:1", &token, "Ada").await;
    assert_eq!(outcome, FillOutcome::Stored);
    let mut count = 0;
    while let Some(message) = exchange.next().await {
        let answers = message.expect("no error").answers;
        assert!(answers.len() <= 2, "{answers:?}");
        count += answers.len();
    }
    assert_eq!((count, read.load(Ordering::SeqCst)), (5, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_parted_by_their_size() {
    let world = World::embedded().await;
    let large = "x".repeat(2 * 1024 * 1024);
    for key in ["user:1", "user:2", "user:3"] {
        world.unix.store(key, &large).await;
    }
    let mut line = Line::open(&world.unix).await.expect("a stream");
    line.send([
        (1, asking("user:1")),
        (2, asking("user:2")),
        (3, asking("user:3")),
    ])
    .await;
    for _ in 0..3 {
        // The client takes 4 MiB, as clients do unless they are told otherwise.
        let message = line.answers.next().await.expect("more answers");
        assert_eq!(message.expect("it fits").answers.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_calls_and_streams_have_their_limits() {
    let limits = Limits {
        requests_max: 1,
        streams_max: 2,
        ..Limits::default()
    };
    let world = World::embedded_with(quick(), limits).await;
    let token = world.unix.lease("user:1").await;
    let mut line = Line::open(&world.tcp).await.expect("a stream");
    let second = Line::open(&world.tcp).await.expect("the second stream");
    let third = Line::open(&world.tcp).await.err().expect("one too many");
    let details = third.get_error_details();
    assert_eq!(third.code(), Code::ResourceExhausted);
    assert!(details.retry_info().is_some());

    line.send((0..1_000).map(|id| (id, asking("")))).await;
    let answers = line.receive(1_000).await;
    assert_eq!(answers.len(), 1_000, "as many as a message may have");
    line.send([(1, waiting("user:1"))]).await;
    let taken = || async { world.app.agent.turns.taken() == 1 };
    until(PATIENCE, "the call runs", taken)
        .await
        .expect("it does");
    line.send([(2, asking("user:2"))]).await;
    assert_eq!(reason(&line.receive(1).await[&2]), "OVERLOADED");
    drop(token);
    second.send((0..1_001).map(|id| (id, asking("")))).await;
    let end = second.end().await.expect("an error");
    assert_eq!(end.code(), Code::InvalidArgument, "{end:?}");
    let free = || async { world.app.agent.streams.taken() == 1 };
    until(PATIENCE, "the stream's turn is given back", free)
        .await
        .expect("it is");
}

/// The best of three rounds of hits in L1, in calls a second.
async fn best_of_three(round: impl AsyncFn() -> usize) -> f64 {
    let mut best = 0_f64;
    for _ in 0..3 {
        let began = tokio::time::Instant::now();
        let calls = round().await as f64;
        best = best.max(calls / began.elapsed().as_secs_f64());
    }
    best
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_carries_more_than_twice_as_many_calls_as_single_ones_do() {
    let world = World::embedded().await;
    world.unix.store("user:1", "Ada").await;
    let single = best_of_three(async || {
        let callers = (0..16).map(|_| async {
            for _ in 0..50 {
                assert_eq!(world.unix.get("user:1").await, hit("Ada"));
            }
        });
        futures_util::future::join_all(callers).await.len() * 50
    });
    let single = single.await;
    let streamed = best_of_three(async || {
        let mut line = Line::open(&world.unix).await.expect("a stream");
        for round in 0..50 {
            // As many at once as there were callers.
            line.send((0..16).map(|at| (round * 16 + at, asking("user:1"))))
                .await;
            assert_eq!(line.receive(16).await.len(), 16);
        }
        800
    });
    let streamed = streamed.await;
    assert!(
        streamed > 2.0 * single,
        "{streamed:.0} a second, and {single:.0}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_does_not_read_its_answers_keeps_no_turns() {
    let world = World::embedded().await;
    let token = world.unix.lease("user:1").await;
    let calls = (0..3).map(|id| called(id, waiting("user:1"))).collect();
    let (_, calls) = counted(vec![v1::ExchangeRequest { calls }]);
    let mut exchange = world.app.agent.exchange(calls, None).expect("a turn");
    assert!(exchange.next().now_or_never().is_none(), "all wait");
    assert_eq!(world.app.agent.turns.taken(), 3);
    world.unix.fill("user:1", &token, "Ada").await;
    // Nobody asks the exchange for anything.
    let free = || async { world.app.agent.turns.taken() == 0 };
    until(PATIENCE, "the turns are given back", free)
        .await
        .expect("they are");
    let answers = exchange.next().await.expect("a message").expect("no error");
    assert_eq!(answers.answers.len(), 3, "and the answers are there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_caller_that_left_ends_with_its_stream() {
    let world = World::embedded().await;
    let _token = world.unix.lease("user:1").await;
    let line = Line::open(&world.tcp).await.expect("a stream");
    line.send([(1, waiting("user:1"))]).await;
    let taken = || async { world.app.agent.turns.taken() == 1 };
    until(PATIENCE, "the call runs", taken)
        .await
        .expect("it does");
    drop(line);
    let free = || async {
        let agent = &world.app.agent;
        (agent.turns.taken(), agent.streams.taken()) == (0, 0)
    };
    until(PATIENCE, "both turns are given back", free)
        .await
        .expect("long before its wait is over");
}
