//! Get, BatchGet, leases and fills.

use crate::on_each_ground;
use crate::world::{Got, World, fill, get, hit, patient};
use bytes::Bytes;
use cache_agent::proto::v1::{self, FillOutcome, get_result};
use cache_core::testkit::until::until;
use std::time::Duration;
use tokio::task::JoinSet;

on_each_ground!(
    a_miss_gives_a_lease_and_a_fill_makes_it_a_hit_on_both_doors,
    of_twenty_callers_one_gets_the_lease_and_the_others_its_value,
    a_key_invalidated_during_its_load_is_not_stored_through_the_agents_lease_and_fill,
    an_absence_is_remembered_until_it_is_invalidated,
    a_released_lease_lets_another_caller_load,
    a_caller_that_will_not_load_takes_no_lease,
    a_token_is_worth_nothing_elsewhere_or_twice,
    a_batch_answers_in_order_and_gives_a_repeated_key_one_lease,
    a_waiter_is_answered_before_its_deadline,
);

async fn a_miss_gives_a_lease_and_a_fill_makes_it_a_hit_on_both_doors(world: World) {
    let token = world.unix.lease("user:1").await;
    assert_eq!(
        world.unix.fill("user:1", &token, "Ada").await,
        FillOutcome::Stored
    );
    assert_eq!(world.unix.get("user:1").await, hit("Ada"));
    assert_eq!(world.tcp.get("user:1").await, hit("Ada"));
    let token = world.tcp.lease("user:2").await;
    assert_eq!(
        world.tcp.fill("user:2", &token, "").await,
        FillOutcome::Stored
    );
    assert_eq!(
        world.unix.get("user:2").await,
        hit(""),
        "an empty value is a value"
    );
}

async fn of_twenty_callers_one_gets_the_lease_and_the_others_its_value(world: World) {
    let mut callers = JoinSet::new();
    for at in 0..20 {
        let client = if at % 2 == 0 {
            world.unix.clone()
        } else {
            world.tcp.clone()
        };
        let request = v1::GetRequest {
            wait: Some(Duration::from_secs(10).try_into().expect("in range")),
            ..get("user:1")
        };
        callers.spawn(async move { client.try_get(request).await.expect("an answer") });
    }
    let first = callers
        .join_next()
        .await
        .expect("twenty callers")
        .expect("no panic");
    let Got::Lease(token) = first else {
        panic!("the first answer is the lease, not {first:?}")
    };
    assert_eq!(
        world.unix.fill("user:1", &token, "Ada").await,
        FillOutcome::Stored
    );
    let others = callers.join_all().await;
    assert_eq!(others.len(), 19);
    assert!(others.iter().all(|got| *got == hit("Ada")), "{others:?}");
}

async fn a_key_invalidated_during_its_load_is_not_stored_through_the_agents_lease_and_fill(
    world: World,
) {
    let token = world.unix.lease("user:1").await;
    // The caller has read the old row; now it changes, and the change comes first.
    world.tcp.invalidate_key("user:1").await;
    let outcome = world.unix.fill("user:1", &token, "old").await;
    let refused = [FillOutcome::Superseded, FillOutcome::LeaseLost];
    assert!(refused.contains(&outcome), "{outcome:?}");
    let token = world.unix.lease("user:1").await;
    assert_eq!(
        world.unix.fill("user:1", &token, "new").await,
        FillOutcome::Stored
    );
    assert_eq!(world.tcp.get("user:1").await, hit("new"));
}

async fn an_absence_is_remembered_until_it_is_invalidated(world: World) {
    let token = world.unix.lease("user:1").await;
    let request = v1::FillRequest {
        loaded: Some(v1::fill_request::Loaded::NotFound(
            v1::fill_request::NotFound {},
        )),
        ..fill("user:1", &token, "")
    };
    let filled = world.unix.try_fill(request).await.expect("an answer");
    assert_eq!(filled.outcome(), FillOutcome::Stored);
    assert_eq!(world.tcp.get("user:1").await, Got::Negative);
    world.tcp.invalidate_key("user:1").await;
    assert!(matches!(world.tcp.get("user:1").await, Got::Lease(_)));
}

async fn a_released_lease_lets_another_caller_load(world: World) {
    let token = world.unix.lease("user:1").await;
    let request = v1::ReleaseLeaseRequest {
        cache: "users".to_owned(),
        key: Bytes::from("user:1"),
        lease_token: token.clone(),
    };
    world
        .unix
        .cache
        .clone()
        .release_lease(patient(request))
        .await
        .expect("an answer");
    assert_eq!(
        world.unix.fill("user:1", &token, "late").await,
        FillOutcome::LeaseLost
    );
    let token = world.tcp.lease("user:1").await;
    assert_eq!(
        world.tcp.fill("user:1", &token, "Ada").await,
        FillOutcome::Stored
    );
}

async fn a_caller_that_will_not_load_takes_no_lease(world: World) {
    let request = v1::GetRequest {
        no_lease: true,
        ..get("user:1")
    };
    assert_eq!(
        world.unix.try_get(request).await.expect("an answer"),
        Got::Busy
    );
    assert_eq!(world.app.agent.leases.len(), 0);
    // What it took on the way is given back in the background.
    let gets_one = || async { matches!(world.tcp.get("user:1").await, Got::Lease(_)) };
    until(
        Duration::from_secs(5),
        "the next caller gets the lease",
        gets_one,
    )
    .await
    .expect("it was given back");
}

async fn a_token_is_worth_nothing_elsewhere_or_twice(world: World) {
    let token = world.unix.lease("user:1").await;
    for strange in [
        Bytes::new(),
        Bytes::from("x"),
        Bytes::from("12345678"),
        Bytes::from("123456789"),
    ] {
        assert_eq!(
            world.unix.fill("user:1", &strange, "x").await,
            FillOutcome::LeaseLost
        );
    }
    assert_eq!(
        world.unix.fill("user:2", &token, "x").await,
        FillOutcome::LeaseLost
    );
    assert_eq!(
        world.unix.fill("user:1", &token, "Ada").await,
        FillOutcome::Stored
    );
    assert_eq!(
        world.unix.fill("user:1", &token, "Eve").await,
        FillOutcome::LeaseLost
    );
    assert_eq!(world.tcp.get("user:1").await, hit("Ada"));
}

async fn a_batch_answers_in_order_and_gives_a_repeated_key_one_lease(world: World) {
    let token = world.unix.lease("user:1").await;
    world.unix.fill("user:1", &token, "Ada").await;
    let keys = ["user:1", "user:2", "", "user:2", "user:1"];
    let batch = v1::BatchGetRequest {
        requests: keys.map(get).to_vec(),
    };
    let answer = world
        .unix
        .cache
        .clone()
        .batch_get(patient(batch))
        .await
        .expect("an answer");
    let results = answer.into_inner().results.into_iter();
    let results: Vec<_> = results
        .map(
            |result| match result.result.expect("a result is always set") {
                get_result::Result::Response(response) => Ok(Got::from(response)),
                get_result::Result::Failure(failure) => Err(failure.reason),
            },
        )
        .collect();
    assert_eq!(results.len(), 5);
    assert_eq!(results[0], Ok(hit("Ada")));
    assert!(matches!(results[1], Ok(Got::Lease(_))), "{results:?}");
    assert_eq!(results[2], Err("KEY_EMPTY".to_owned()));
    assert_eq!(
        results[3],
        Ok(Got::Busy),
        "the lease was given to the first of them"
    );
    assert_eq!(results[4], Ok(hit("Ada")));
}

async fn a_waiter_is_answered_before_its_deadline(world: World) {
    let _token = world.unix.lease("user:1").await;
    let mut request = tonic::Request::new(v1::GetRequest {
        wait: Some(Duration::from_secs(60).try_into().expect("in range")),
        ..get("user:1")
    });
    request.set_timeout(Duration::from_millis(400));
    let answer = world
        .tcp
        .cache
        .clone()
        .get(request)
        .await
        .expect("an answer in time");
    assert_eq!(Got::from(answer.into_inner()), Got::Busy);
}
