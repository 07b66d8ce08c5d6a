//! Calls over one stream.

use crate::on_each_ground;
use crate::process::http;
use crate::world::{Client, Got, World, fill, get, get_of, hit, quick};
use bytes::Bytes;
use cache_agent::config::Limits;
use cache_agent::proto::v1::{self, FillOutcome, SetOutcome, answer, call};
use cache_core::testkit::until::until;
use futures_util::{FutureExt, Stream};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

on_each_ground!(
    calls_of_one_stream_are_answered_by_their_ids,
    every_call_can_be_made_over_a_stream,
    a_call_is_answered_within_its_own_time,
    a_lease_of_one_stream_is_filled_over_another,
);

const PATIENCE: Duration = Duration::from_secs(5);

/// Both ends of an exchange.
struct Line {
    calls: mpsc::Sender<v1::ExchangeRequest>,
    answers: Streaming<v1::ExchangeResponse>,
}

impl Line {
    async fn open(client: &Client) -> Result<Self, Status> {
        let (calls, sent) = mpsc::channel(64);
        let mut client = client.stream.clone();
        let opened = client.exchange(ReceiverStream::new(sent)).await?;
        let answers = opened.into_inner();
        Ok(Self { calls, answers })
    }

    async fn send(&self, calls: impl IntoIterator<Item = (u64, call::Call)>) {
        let calls = calls.into_iter().map(|(id, one)| called(id, one)).collect();
        let sent = self.calls.send(v1::ExchangeRequest { calls }).await;
        sent.expect("the stream is open");
    }

    /// Waits for so many answers; they come by their ids.
    async fn receive(&mut self, count: usize) -> HashMap<u64, answer::Answer> {
        let mut all = HashMap::new();
        while all.len() < count {
            let message = tokio::time::timeout(PATIENCE, self.answers.next()).await;
            let message = message.expect("an answer in time").expect("more answers");
            for one in message.expect("no error").answers {
                let answered = one.answer.expect("an answer is always set");
                assert!(all.insert(one.id, answered).is_none(), "{} twice", one.id);
            }
        }
        all
    }

    async fn call(&mut self, one: call::Call) -> answer::Answer {
        self.send([(1, one)]).await;
        self.receive(1).await.remove(&1).expect("its answer")
    }

    /// How the stream ends.
    async fn end(mut self) -> Option<Status> {
        let end = async {
            loop {
                match self.answers.next().await {
                    Some(Ok(_)) => {}
                    Some(Err(status)) => return Some(status),
                    None => return None,
                }
            }
        };
        tokio::time::timeout(PATIENCE, end)
            .await
            .expect("an end in time")
    }
}

fn called(id: u64, one: call::Call) -> v1::Call {
    v1::Call {
        id,
        timeout: None,
        call: Some(one),
    }
}

fn asking(key: &str) -> call::Call {
    call::Call::Get(get(key))
}

/// A Get that waits while another loads.
fn waiting(key: &str) -> call::Call {
    call::Call::Get(v1::GetRequest {
        wait: Duration::from_secs(20).try_into().ok(),
        ..get(key)
    })
}

fn got(answered: &answer::Answer) -> Got {
    match answered {
        answer::Answer::Get(response) => response.clone().into(),
        other => panic!("{other:?}"),
    }
}

fn reason(answered: &answer::Answer) -> &str {
    match answered {
        answer::Answer::Failure(failure) => &failure.reason,
        other => panic!("{other:?}"),
    }
}

async fn calls_of_one_stream_are_answered_by_their_ids(world: World) {
    for at in 0..50 {
        world
            .unix
            .store(&format!("user:{at}"), &at.to_string())
            .await;
    }
    let mut line = Line::open(&world.tcp).await.expect("a stream");
    for round in 0..4 {
        line.send((0..50).map(|at| (round * 50 + at, asking(&format!("user:{at}")))))
            .await;
    }
    line.send([(900, asking("")), (901, asking("user:none"))])
        .await;
    let answers = line.receive(202).await;
    for round in 0..4 {
        for at in 0..50 {
            assert_eq!(got(&answers[&(round * 50 + at)]), hit(&at.to_string()));
        }
    }
    assert_eq!(reason(&answers[&900]), "KEY_EMPTY");
    assert!(matches!(got(&answers[&901]), Got::Lease(_)));
    let (_, metrics) = http(world.admin, "/metrics").await;
    for series in [
        r#"cacheaside_exchange_calls_total{grpc_method="Get",reason="OK"} 201"#,
        r#"cacheaside_exchange_calls_total{grpc_method="Get",reason="KEY_EMPTY"} 1"#,
        "cacheaside_streams_open 1",
    ] {
        assert!(metrics.contains(series), "{series} in\n{metrics}");
    }
    let Line { calls, mut answers } = line;
    drop(calls);
    assert!(
        answers.next().await.is_none(),
        "it ends with its caller's part"
    );
}

async fn every_call_can_be_made_over_a_stream(world: World) {
    let mut line = Line::open(&world.unix).await.expect("a stream");
    let Got::Lease(token) = got(&line.call(asking("user:1")).await) else {
        panic!("an empty cache")
    };
    let key = Bytes::from("user:1");
    let filled = line
        .call(call::Call::Fill(fill("user:1", &token, "Ada")))
        .await;
    let answer::Answer::Fill(filled) = filled else {
        panic!("{filled:?}")
    };
    assert_eq!(filled.outcome(), FillOutcome::Stored);
    let touch = v1::TouchRequest {
        cache: "users".to_owned(),
        key: key.clone(),
        ttl: Duration::from_secs(60).try_into().ok(),
    };
    let touched = line.call(call::Call::Touch(touch)).await;
    assert!(matches!(touched, answer::Answer::Touch(one) if one.expires_at.is_some()));
    let delete = v1::DeleteRequest {
        cache: "users".to_owned(),
        key: key.clone(),
        session: None,
    };
    let deleted = line.call(call::Call::Delete(delete)).await;
    assert!(matches!(deleted, answer::Answer::Delete(_)), "{deleted:?}");
    let Got::Lease(token) = got(&line.call(asking("user:1")).await) else {
        panic!("it was deleted")
    };
    let release = v1::ReleaseLeaseRequest {
        cache: "users".to_owned(),
        key: key.clone(),
        lease_token: token,
    };
    let released = line.call(call::Call::ReleaseLease(release)).await;
    assert!(
        matches!(released, answer::Answer::ReleaseLease(_)),
        "{released:?}"
    );
    let set = v1::SetRequest {
        cache: "notes".to_owned(),
        key: key.clone(),
        value: Bytes::from("x"),
        ..Default::default()
    };
    let answer::Answer::Set(set) = line.call(call::Call::Set(set)).await else {
        panic!("no answer of a Set")
    };
    assert_eq!(set.outcome(), SetOutcome::Stored);
    let invalidate = v1::InvalidateRequest {
        cache: "notes".to_owned(),
        keys: vec![key],
        ..Default::default()
    };
    let told = line.call(call::Call::Invalidate(invalidate)).await;
    assert!(matches!(told, answer::Answer::Invalidate(one) if one.l2_acknowledged));
    let gone = line.call(call::Call::Get(get_of("notes", "user:1"))).await;
    assert!(matches!(got(&gone), Got::Lease(_)), "{gone:?}");
}

async fn a_call_is_answered_within_its_own_time(world: World) {
    let _token = world.unix.lease("user:1").await;
    let mut line = Line::open(&world.tcp).await.expect("a stream");
    let calls = vec![v1::Call {
        timeout: Duration::from_millis(200).try_into().ok(),
        ..called(7, waiting("user:1"))
    }];
    let sent = line.calls.send(v1::ExchangeRequest { calls }).await;
    sent.expect("the stream is open");
    assert_eq!(got(&line.receive(1).await[&7]), Got::Busy);
    let negative = prost_types::Duration {
        seconds: -1,
        nanos: 0,
    };
    let calls = vec![
        v1::Call {
            timeout: Some(negative),
            ..called(8, asking("user:2"))
        },
        v1::Call {
            call: None,
            ..called(9, asking("user:2"))
        },
    ];
    let sent = line.calls.send(v1::ExchangeRequest { calls }).await;
    sent.expect("the stream is open");
    let answers = line.receive(2).await;
    assert_eq!(reason(&answers[&8]), "BAD_WAIT");
    assert_eq!(reason(&answers[&9]), "FIELD_MISSING");
}

async fn a_lease_of_one_stream_is_filled_over_another(world: World) {
    let mut one = Line::open(&world.unix).await.expect("a stream");
    let mut two = Line::open(&world.tcp).await.expect("a stream");
    let Got::Lease(token) = got(&one.call(asking("user:1")).await) else {
        panic!("an empty cache")
    };
    // The waiter is answered by the fill that comes after it on the same stream.
    two.send([(1, waiting("user:1"))]).await;
    let fill = call::Call::Fill(fill("user:1", &token, "Ada"));
    two.send([(2, fill)]).await;
    let answers = two.receive(2).await;
    assert_eq!(got(&answers[&1]), hit("Ada"));
}

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
    let mut exchange = world.app.agent.exchange(calls).expect("a turn");
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
    let mut exchange = world.app.agent.exchange(calls).expect("a turn");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_answers_what_runs_and_ends_the_stream() {
    let world = World::embedded().await;
    let _token = world.unix.lease("user:1").await;
    let mut line = Line::open(&world.tcp).await.expect("a stream");
    let soon = call::Call::Get(v1::GetRequest {
        wait: Duration::from_millis(300).try_into().ok(),
        ..get("user:1")
    });
    line.send([(1, soon)]).await;
    let taken = || async { world.app.agent.turns.taken() == 1 };
    until(PATIENCE, "the call runs", taken)
        .await
        .expect("it does");
    world.stop.cancel();
    assert_eq!(got(&line.receive(1).await[&1]), Got::Busy, "it is answered");
    let end = line.end().await.expect("an error says why");
    assert_eq!(end.code(), Code::Unavailable);
    let details = end.get_error_details();
    let info = details.error_info().expect("an ErrorInfo");
    assert_eq!(info.reason, "SHUTTING_DOWN");
    world.serving.await.expect("no panic").expect("a clean end");
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
