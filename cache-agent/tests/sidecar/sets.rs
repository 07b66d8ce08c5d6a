//! Sets with a condition and in batches, Touch, Delete, and the limits of each.

use crate::on_each_ground;
use crate::world::{Got, World, get, get_of, hit, patient, refusal};
use bytes::Bytes;
use cache_agent::proto::v1::{
    self, DeleteOutcome, SetOutcome, TouchOutcome, get_result, set_request, set_result,
};
use std::collections::HashSet;
use std::time::Duration;
use tokio_stream::StreamExt;
use tonic::Code;

on_each_ground!(
    a_value_is_set_only_where_there_is_none,
    of_many_that_set_where_there_is_none_one_does,
    a_batch_of_sets_has_an_outcome_for_each,
    a_touched_value_has_a_new_end,
    a_deleted_key_is_a_miss_everywhere,
    a_stream_of_many_keys_answers_each_once,
);

fn set(cache: &str, key: &str, value: &str) -> v1::SetRequest {
    v1::SetRequest {
        cache: cache.to_owned(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        ..Default::default()
    }
}

fn set_if_absent(cache: &str, key: &str, value: &str) -> v1::SetRequest {
    let absent = set_request::IfAbsent {};
    v1::SetRequest {
        condition: Some(set_request::Condition::IfAbsent(absent)),
        ..set(cache, key, value)
    }
}

fn touch(key: &str, ttl: Option<Duration>) -> v1::TouchRequest {
    v1::TouchRequest {
        cache: "users".to_owned(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        ttl: ttl.map(|ttl| ttl.try_into().expect("in range")),
    }
}

async fn try_set(world: &World, request: v1::SetRequest) -> SetOutcome {
    let set = world.unix.cache.clone().set(patient(request)).await;
    set.expect("an answer").into_inner().outcome()
}

async fn a_value_is_set_only_where_there_is_none(world: World) {
    let one = try_set(&world, set_if_absent("notes", "k", "one")).await;
    let two = try_set(&world, set_if_absent("notes", "k", "two")).await;
    assert_eq!(
        (one, two),
        (SetOutcome::Stored, SetOutcome::ConditionFailed)
    );
    let got = world.tcp.try_get(get_of("notes", "k")).await;
    assert_eq!(got.expect("an answer"), hit("one"));
    // Where somebody loads, nobody can say that there is none.
    let leased = world.tcp.try_get(get_of("notes", "l")).await;
    assert!(matches!(leased, Ok(Got::Lease(_))), "{leased:?}");
    let busy = try_set(&world, set_if_absent("notes", "l", "one")).await;
    assert_eq!(busy, SetOutcome::ConditionFailed);
    let request = patient(set_if_absent("users", "k", "one"));
    let refused = refusal(world.unix.cache.clone().set(request).await);
    let reason = "CONDITION_UNSUPPORTED".to_owned();
    assert_eq!(refused, (Code::FailedPrecondition, reason));
}

async fn of_many_that_set_where_there_is_none_one_does(world: World) {
    let sets = (0..20).map(|at| try_set(&world, set_if_absent("notes", "k", &at.to_string())));
    let outcomes = futures_util::future::join_all(sets).await;
    let stored = outcomes.iter().filter(|one| **one == SetOutcome::Stored);
    assert_eq!(stored.count(), 1, "{outcomes:?}");
}

async fn a_batch_of_sets_has_an_outcome_for_each(world: World) {
    let requests = vec![
        set("notes", "a", "1"),
        set("users", "b", "2"),
        set("notes", "", "3"),
        set("nowhere", "c", "4"),
    ];
    let batch = patient(v1::BatchSetRequest { requests });
    let answer = world.tcp.cache.clone().batch_set(batch).await;
    let results = answer.expect("an answer").into_inner().results.into_iter();
    let results: Vec<_> = results
        .map(|one| match one.result.expect("a result is always set") {
            set_result::Result::Response(response) => Ok(response.outcome()),
            set_result::Result::Failure(failure) => Err(failure.reason),
        })
        .collect();
    let expected = [
        Ok(SetOutcome::Stored),
        Ok(SetOutcome::Invalidated),
        Err("KEY_EMPTY".to_owned()),
        Err("CACHE_UNKNOWN".to_owned()),
    ];
    assert_eq!(results, expected);
    let got = world.unix.try_get(get_of("notes", "a")).await;
    assert_eq!(got.expect("an answer"), hit("1"));
}

async fn a_touched_value_has_a_new_end(world: World) {
    let touched = async |key: &str, ttl| {
        let request = patient(touch(key, Some(ttl)));
        let touched = world.tcp.cache.clone().touch(request).await;
        touched.expect("an answer").into_inner()
    };
    let none = touched("user:1", Duration::from_secs(9)).await;
    assert_eq!(none.outcome(), TouchOutcome::NotFound);
    world.unix.store("user:1", "Ada").await;
    let longer = touched("user:1", Duration::from_secs(3_600)).await;
    assert_eq!(longer.outcome(), TouchOutcome::Touched);
    assert!(longer.expires_at.is_some());
    assert_eq!(world.unix.get("user:1").await, hit("Ada"));
    let shorter = touched("user:1", Duration::from_millis(1)).await;
    assert_eq!(shorter.outcome(), TouchOutcome::Touched);
    let gone = || async { matches!(world.unix.get("user:1").await, Got::Lease(_)) };
    let waited = cache_core::testkit::until::until(Duration::from_secs(5), "it ends", gone).await;
    waited.expect("a millisecond goes by");
}

async fn a_deleted_key_is_a_miss_everywhere(world: World) {
    world.unix.store("user:1", "Ada").await;
    let request = v1::DeleteRequest {
        cache: "users".to_owned(),
        key: Bytes::from("user:1"),
        session: Some(String::new()),
    };
    let deleted = world.tcp.cache.clone().delete(patient(request)).await;
    let deleted = deleted.expect("an answer").into_inner();
    assert_eq!(deleted.outcome(), DeleteOutcome::Deleted);
    assert!(deleted.session.is_some_and(|session| !session.is_empty()));
    assert!(matches!(world.unix.get("user:1").await, Got::Lease(_)));
}

async fn a_stream_of_many_keys_answers_each_once(world: World) {
    world.unix.store("user:7", "Ada").await;
    let mut requests: Vec<_> = (0..2_000).map(|at| get(&format!("user:{at}"))).collect();
    requests.push(get("user:7"));
    requests.push(get(""));
    let count = requests.len();
    let request = patient(v1::StreamBatchGetRequest { requests });
    let stream = world.tcp.cache.clone().stream_batch_get(request).await;
    let mut stream = stream.expect("a stream").into_inner();
    let (mut seen, mut hits, mut failed) = (HashSet::new(), 0, Vec::new());
    while let Some(message) = stream.next().await {
        for one in message.expect("no error").results {
            assert!(seen.insert(one.index), "{} twice", one.index);
            match one.result.and_then(|result| result.result) {
                Some(get_result::Result::Response(response)) => {
                    hits += usize::from(Got::from(response) == hit("Ada"));
                }
                Some(get_result::Result::Failure(failure)) => failed.push(failure.reason),
                None => panic!("a result is always set"),
            }
        }
    }
    assert_eq!((seen.len(), hits), (count, 2));
    assert_eq!(failed, ["KEY_EMPTY"]);
    let idle = || async { world.app.agent.streams.taken() == 0 };
    let waited = cache_core::testkit::until::until(Duration::from_secs(5), "it ends", idle).await;
    waited.expect("its turn is given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_and_lifetimes_have_their_limits() {
    let world = World::embedded().await;
    let large = |reason: &str| (Code::InvalidArgument, reason.to_owned());
    for (count, fits) in [(1_000, true), (1_001, false)] {
        let requests = vec![set("users", "k", ""); count];
        let batch = patient(v1::BatchSetRequest { requests });
        let answer = world.unix.cache.clone().batch_set(batch).await;
        match fits {
            true => assert_eq!(answer.expect("an answer").into_inner().results.len(), count),
            false => assert_eq!(refusal(answer), large("BATCH_TOO_LARGE")),
        }
    }
    for (count, fits) in [(10_000, true), (10_001, false)] {
        let requests = vec![get("k"); count];
        let request = patient(v1::StreamBatchGetRequest { requests });
        let answer = world.unix.cache.clone().stream_batch_get(request).await;
        assert_eq!(answer.is_ok(), fits);
        if let Err(status) = answer {
            assert_eq!(refusal::<()>(Err(status)), large("BATCH_TOO_LARGE"));
        }
    }
    world.unix.store("user:1", "Ada").await;
    let day = Duration::from_secs(24 * 3600);
    for (ttl, fits) in [
        (Some(Duration::ZERO), false),
        (Some(Duration::from_millis(1)), true),
        (Some(30 * day), true),
        (Some(31 * day), false),
    ] {
        let answer = world
            .unix
            .cache
            .clone()
            .touch(patient(touch("user:1", ttl)))
            .await;
        match fits {
            true => assert!(answer.is_ok(), "{ttl:?}: {answer:?}"),
            false => assert_eq!(refusal(answer), large("BAD_TTL")),
        }
    }
    let answer = world
        .unix
        .cache
        .clone()
        .touch(patient(touch("user:1", None)))
        .await;
    assert_eq!(refusal(answer), large("FIELD_MISSING"));
}
