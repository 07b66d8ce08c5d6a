//! Calls over one stream.

use crate::line::{Line, PATIENCE, asking, called, got, reason, waiting};
use crate::on_each_ground;
use crate::process::http;
use crate::world::{Got, World, fill, get, get_of, hit};
use bytes::Bytes;
use cache_agent::proto::v1::{self, FillOutcome, SetOutcome, answer, call};
use cache_core::testkit::until::until;
use std::time::Duration;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic_types::StatusExt;

on_each_ground!(
    calls_of_one_stream_are_answered_by_their_ids,
    every_call_can_be_made_over_a_stream,
    a_call_is_answered_within_its_own_time,
    a_lease_of_one_stream_is_filled_over_another,
);

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
