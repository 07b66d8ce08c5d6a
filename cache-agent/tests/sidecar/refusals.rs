//! What is refused, with which code and reason.

use crate::world::{Got, VALUE_MAX, World, fill, get, patient, quick, refusal};
use bytes::Bytes;
use cache_agent::config::Limits;
use cache_agent::proto::v1;
use cache_core::testkit::until::until;
use std::time::Duration;
use tonic::Code;
use tonic_types::StatusExt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_outside_its_limits_is_refused_by_name() {
    let world = World::embedded().await;
    let invalid = |reason: &str| (Code::InvalidArgument, reason.to_owned());
    let long = "k".repeat(513);
    assert_eq!(
        refusal(world.unix.try_get(get("")).await),
        invalid("KEY_EMPTY")
    );
    assert_eq!(
        refusal(world.tcp.try_get(get(&long)).await),
        invalid("KEY_TOO_LONG")
    );
    let longest = world
        .unix
        .try_get(get(&long[1..]))
        .await
        .expect("an answer");
    assert!(matches!(longest, Got::Lease(_)), "512 bytes are allowed");

    let backwards = v1::GetRequest {
        wait: Some(prost_types::Duration {
            seconds: -1,
            nanos: 0,
        }),
        ..get("k")
    };
    assert_eq!(
        refusal(world.unix.try_get(backwards).await),
        invalid("BAD_WAIT")
    );

    let batch = v1::BatchGetRequest {
        requests: vec![get("k"); 1001],
    };
    let answer = world.unix.cache.clone().batch_get(patient(batch)).await;
    assert_eq!(refusal(answer), invalid("BATCH_TOO_LARGE"));

    let nothing = v1::InvalidateRequest {
        cache: "users".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        refusal(world.unix.invalidate(nothing.clone()).await),
        invalid("FIELD_MISSING")
    );
    let many = v1::InvalidateRequest {
        keys: vec![Bytes::from("k"); 1001],
        ..nothing
    };
    assert_eq!(
        refusal(world.unix.invalidate(many).await),
        invalid("BATCH_TOO_LARGE")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_that_is_refused_keeps_its_lease() {
    let world = World::embedded().await;
    let invalid = |reason: &str| (Code::InvalidArgument, reason.to_owned());
    let token = world.unix.lease("user:1").await;
    let large = fill("user:1", &token, &"x".repeat(VALUE_MAX + 1));
    assert_eq!(
        refusal(world.unix.try_fill(large).await),
        invalid("VALUE_TOO_LARGE")
    );
    let with = |options: v1::StoreOptions| v1::FillRequest {
        options: Some(options),
        ..fill("user:1", &token, "x")
    };
    for ttl in [-1, 0, 31 * 24 * 3600] {
        let options = v1::StoreOptions {
            ttl: Some(prost_types::Duration {
                seconds: ttl,
                nanos: 0,
            }),
            ..Default::default()
        };
        assert_eq!(
            refusal(world.unix.try_fill(with(options)).await),
            invalid("BAD_TTL")
        );
    }
    for tags in [
        vec![String::new()],
        vec!["*".to_owned()],
        vec!["t".to_owned(); 33],
    ] {
        let options = v1::StoreOptions {
            tags,
            ..Default::default()
        };
        assert_eq!(
            refusal(world.unix.try_fill(with(options)).await),
            invalid("BAD_TAG")
        );
    }
    let nothing = v1::FillRequest {
        loaded: None,
        ..fill("user:1", &token, "")
    };
    assert_eq!(
        refusal(world.unix.try_fill(nothing).await),
        invalid("FIELD_MISSING")
    );
    assert_eq!(
        world.unix.fill("user:1", &token, "x").await,
        v1::FillOutcome::Stored
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_cache_is_answered_with_the_known_ones() {
    let world = World::embedded().await;
    let request = v1::GetRequest {
        cache: "usres".to_owned(),
        ..get("k")
    };
    let status = world
        .unix
        .cache
        .clone()
        .get(patient(request))
        .await
        .expect_err("unknown");
    assert_eq!(
        status.message(),
        "no cache `usres` is configured; there are: brief, notes, users (did you mean `users`?)"
    );
    let details = status.get_error_details();
    let info = details.error_info().expect("an ErrorInfo");
    assert_eq!(info.metadata["configured"], "brief, notes, users");
    assert_eq!(
        refusal::<()>(Err(status)),
        (Code::FailedPrecondition, "CACHE_UNKNOWN".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_too_many_is_turned_away_at_once() {
    let limits = Limits {
        requests_max: 2,
        ..Limits::default()
    };
    let world = World::embedded_with(quick(), limits).await;
    let _token = world.unix.lease("user:1").await;
    let waiter = || {
        let client = world.tcp.clone();
        let request = v1::GetRequest {
            wait: Some(prost_types::Duration {
                seconds: 3,
                nanos: 0,
            }),
            ..get("user:1")
        };
        tokio::spawn(async move { client.try_get(request).await })
    };
    let waiters = [waiter(), waiter()];
    let both = || async { world.app.agent.tasks.len() == 2 };
    until(Duration::from_secs(2), "both turns are taken", both)
        .await
        .unwrap();
    let answer = world.unix.cache.clone().get(patient(get("user:2"))).await;
    let status = answer.expect_err("a refusal");
    let details = status.get_error_details();
    assert!(details.retry_info().is_some(), "says when to come again");
    assert_eq!(
        refusal::<()>(Err(status)),
        (Code::ResourceExhausted, "OVERLOADED".to_owned())
    );
    for waiter in waiters {
        assert_eq!(
            waiter.await.expect("no panic").expect("an answer"),
            Got::Busy
        );
    }
    assert!(
        matches!(world.unix.get("user:3").await, Got::Lease(_)),
        "there are turns again"
    );
}
