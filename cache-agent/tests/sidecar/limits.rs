//! Every limit of a call: taken at it, refused beyond.

use crate::world::{VALUE_MAX, World, get, patient, refusal};
use bytes::Bytes;
use cache_agent::proto::v1;
use cache_core::model::session::SESSION_LEN_MAX;
use std::fmt::Debug;
use std::time::Duration;
use tonic::Status;

/// Whether something was taken, and if not, for this reason.
fn judge<T: Debug>(answer: Result<T, Status>, fits: bool, reason: &str) {
    match fits {
        true => assert!(answer.is_ok(), "{reason}: {answer:?}"),
        false => assert_eq!(refusal(answer).1, reason),
    }
}

fn set(size: usize, options: v1::StoreOptions) -> v1::SetRequest {
    v1::SetRequest {
        cache: "users".to_owned(),
        key: Bytes::from("k"),
        value: Bytes::from(vec![b'x'; size]),
        options: Some(options),
        ..Default::default()
    }
}

fn tagged(tags: Vec<String>) -> v1::StoreOptions {
    v1::StoreOptions {
        tags,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_values_and_tags_are_taken_at_their_limits_and_not_beyond() {
    let world = World::embedded().await;
    for (length, reason) in [
        (0, "KEY_EMPTY"),
        (1, ""),
        (511, ""),
        (512, ""),
        (513, "KEY_TOO_LONG"),
    ] {
        let got = world.unix.try_get(get(&"k".repeat(length))).await;
        judge(got, reason.is_empty(), reason);
    }
    let put = async |request| {
        let mut cache = world.unix.cache.clone();
        cache.set(patient(request)).await
    };
    for (size, fits) in [
        (0, true),
        (VALUE_MAX - 1, true),
        (VALUE_MAX, true),
        (VALUE_MAX + 1, false),
    ] {
        let answer = put(set(size, v1::StoreOptions::default())).await;
        judge(answer, fits, "VALUE_TOO_LARGE");
    }
    for (count, fits) in [(0, true), (31, true), (32, true), (33, false)] {
        let tags = (0..count).map(|at| format!("t{at}")).collect();
        judge(put(set(1, tagged(tags))).await, fits, "BAD_TAG");
    }
    for (length, fits) in [
        (0, false),
        (1, true),
        (127, true),
        (128, true),
        (129, false),
    ] {
        let tags = vec!["t".repeat(length)];
        judge(put(set(1, tagged(tags))).await, fits, "BAD_TAG");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalidations_and_batches_are_taken_at_their_limits_and_not_beyond() {
    let world = World::embedded().await;
    let keys = |count: usize| v1::InvalidateRequest {
        cache: "users".to_owned(),
        keys: (0..count).map(|at| Bytes::from(at.to_string())).collect(),
        ..Default::default()
    };
    for (count, reason) in [(0, "FIELD_MISSING"), (1, ""), (999, ""), (1_000, "")] {
        let told = world.tcp.invalidate(keys(count)).await;
        judge(told, reason.is_empty(), reason);
    }
    judge(
        world.tcp.invalidate(keys(1_001)).await,
        false,
        "BATCH_TOO_LARGE",
    );
    let noted = v1::InvalidateRequest {
        session: Some(String::new()),
        ..keys(1_000)
    };
    judge(world.tcp.invalidate(noted).await, true, "");
    for (count, fits) in [(1, true), (99, true), (100, true), (101, false)] {
        let request = v1::InvalidateRequest {
            tags: (0..count).map(|at| format!("t{at}")).collect(),
            ..keys(0)
        };
        judge(world.tcp.invalidate(request).await, fits, "BAD_TAG");
    }
    for (count, fits) in [(0, true), (999, true), (1_000, true), (1_001, false)] {
        let requests = vec![
            v1::GetRequest {
                no_lease: true,
                ..get("k")
            };
            count
        ];
        let batch = patient(v1::BatchGetRequest { requests });
        let answer = world.unix.cache.clone().batch_get(batch).await;
        judge(answer, fits, "BATCH_TOO_LARGE");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lifetimes_waits_and_sessions_are_taken_at_their_limits_and_not_beyond() {
    let world = World::embedded().await;
    let day = 24 * 3_600;
    let span = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
    for (ttl, fits) in [
        (span(0, 0), false),
        (span(0, 999_999), false),
        (span(0, 1_000_000), true),
        (span(30 * day, 0), true),
        (span(30 * day, 1), false),
        (span(-1, 0), false),
    ] {
        let options = v1::StoreOptions {
            ttl,
            ..Default::default()
        };
        let answer = world.unix.cache.clone().set(patient(set(1, options))).await;
        judge(answer, fits, "BAD_TTL");
    }
    for (wait, fits) in [
        (span(-1, 0), false),
        (span(0, -1), false),
        (span(0, 0), true),
    ] {
        for field in 0..2 {
            let mut request = v1::GetRequest {
                no_lease: true,
                ..get("k")
            };
            match field {
                0 => request.wait = wait,
                _ => request.max_staleness = wait,
            }
            judge(world.unix.try_get(request).await, fits, "BAD_WAIT");
        }
    }
    for length in [SESSION_LEN_MAX, SESSION_LEN_MAX + 1] {
        let request = v1::GetRequest {
            session: Some("A".repeat(length)),
            ..get("k")
        };
        judge(world.unix.try_get(request).await, false, "BAD_SESSION");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_beyond_all_limits_is_turned_away_by_the_transport() {
    let world = World::embedded().await;
    let huge = set(16 * 1024 * 1024, v1::StoreOptions::default());
    let answer = world.unix.cache.clone().set(patient(huge)).await;
    let status = answer.expect_err("it is too large to be read");
    assert_eq!(status.code(), tonic::Code::OutOfRange);
    let after = Duration::from_secs(5);
    let lives = tokio::time::timeout(after, world.unix.get("k")).await;
    assert!(lives.is_ok(), "the connection goes on");
}
