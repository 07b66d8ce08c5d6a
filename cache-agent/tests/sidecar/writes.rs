//! Set, tags, whole caches, and what does not fit into one answer.

use crate::on_each_ground;
use crate::world::{Got, VALUE_MAX, World, fill, get, hit, patient};
use bytes::Bytes;
use cache_agent::proto::v1::{self, FillOutcome, SetOutcome, get_result};

on_each_ground!(
    a_tag_takes_its_entries_and_no_others,
    a_whole_cache_is_cleared_and_no_other,
    a_set_without_a_lease_is_worth_what_the_policy_says,
    values_that_do_not_fit_into_one_answer_are_named,
);

async fn fill_tagged(world: &World, key: &str, tag: &str) {
    let token = world.unix.lease(key).await;
    let request = v1::FillRequest {
        options: Some(v1::StoreOptions {
            tags: vec![tag.to_owned()],
            ..Default::default()
        }),
        ..fill(key, &token, "x")
    };
    let filled = world.unix.try_fill(request).await.expect("an answer");
    assert_eq!(filled.outcome(), FillOutcome::Stored);
}

async fn a_tag_takes_its_entries_and_no_others(world: World) {
    fill_tagged(&world, "user:1", "team:1").await;
    fill_tagged(&world, "user:2", "team:2").await;
    let request = v1::InvalidateRequest {
        cache: "users".to_owned(),
        tags: vec!["team:1".to_owned()],
        ..Default::default()
    };
    assert!(world.tcp.invalidate(request).await.expect("an answer"));
    assert!(matches!(world.unix.get("user:1").await, Got::Lease(_)));
    assert_eq!(world.unix.get("user:2").await, hit("x"));
}

async fn a_whole_cache_is_cleared_and_no_other(world: World) {
    fill_tagged(&world, "user:1", "team:1").await;
    let clear = |cache: &str| v1::InvalidateRequest {
        cache: cache.to_owned(),
        whole_cache: true,
        ..Default::default()
    };
    assert!(
        world
            .tcp
            .invalidate(clear("notes"))
            .await
            .expect("an answer")
    );
    assert_eq!(world.unix.get("user:1").await, hit("x"));
    assert!(
        world
            .tcp
            .invalidate(clear("users"))
            .await
            .expect("an answer")
    );
    assert!(matches!(world.unix.get("user:1").await, Got::Lease(_)));
}

async fn a_set_without_a_lease_is_worth_what_the_policy_says(world: World) {
    for (cache, outcome) in [
        ("users", SetOutcome::Invalidated),
        ("notes", SetOutcome::Stored),
    ] {
        let request = v1::SetRequest {
            cache: cache.to_owned(),
            key: Bytes::from("k"),
            value: Bytes::from("v"),
            ..Default::default()
        };
        let answer = world
            .unix
            .cache
            .clone()
            .set(patient(request))
            .await
            .expect("an answer");
        assert_eq!(answer.into_inner().outcome(), outcome);
        let request = v1::GetRequest {
            cache: cache.to_owned(),
            ..get("k")
        };
        let got = world.tcp.try_get(request).await.expect("an answer");
        match outcome {
            SetOutcome::Stored => assert_eq!(got, hit("v")),
            _ => assert!(matches!(got, Got::Lease(_)), "{got:?}"),
        }
    }
}

async fn values_that_do_not_fit_into_one_answer_are_named(world: World) {
    let large = "x".repeat(VALUE_MAX / 2);
    for key in ["user:1", "user:2"] {
        let token = world.unix.lease(key).await;
        assert_eq!(
            world.unix.fill(key, &token, &large).await,
            FillOutcome::Stored
        );
    }
    let batch = v1::BatchGetRequest {
        requests: ["user:1", "user:2", "user:3"].map(get).to_vec(),
    };
    let answer = world
        .unix
        .cache
        .clone()
        .batch_get(patient(batch))
        .await
        .expect("an answer");
    let results = answer
        .into_inner()
        .results
        .into_iter()
        .map(|result| result.result);
    let [first, second, third] = results
        .collect::<Vec<_>>()
        .try_into()
        .expect("three results");
    assert!(matches!(first, Some(get_result::Result::Response(_))));
    let Some(get_result::Result::Failure(failure)) = second else {
        panic!("it does not fit")
    };
    assert_eq!(failure.reason, "RESPONSE_TOO_LARGE");
    // The third is no value: either it was looked up before the budget was known to
    // be used up, and its lease is here, or it was not, and none was taken.
    let leases = match third {
        Some(get_result::Result::Response(_)) => 1,
        _ => 0,
    };
    assert_eq!(world.app.agent.leases.len(), leases);
    assert!(
        matches!(world.tcp.get("user:2").await, Got::Hit(_)),
        "alone it fits"
    );
}
