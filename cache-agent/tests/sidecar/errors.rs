//! The table of errors: it is complete, and what no other test shows.

use crate::application::{Application, caches, policy};
use crate::world::{World, get, patient, refusal};
use bytes::Bytes;
use cache_agent::app::App;
use cache_agent::config::Limits;
use cache_agent::deadline::Deadline;
use cache_agent::failure::{Failure, Reason};
use cache_agent::proto::v1;
use cache_agent::strategies::{SourceAt, WriteMode};
use cache_core::clock::SystemClock;
use cache_core::{Error, Kind, Policy};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

const TABLE: &str = include_str!("../../docs/errors.md");

/// A code as the protocol spells it.
fn spelled(code: Code) -> String {
    let mut text = String::new();
    for (at, letter) in format!("{code:?}").chars().enumerate() {
        if letter.is_uppercase() && at > 0 {
            text.push('_');
        }
        text.extend(letter.to_uppercase());
    }
    text
}

#[test]
fn every_reason_is_in_the_table_with_its_code() {
    let rows = TABLE.lines().filter(|line| line.starts_with("| `"));
    let mut told = BTreeMap::new();
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [reason, code, _, again, _] = cells[..] else {
            panic!("{row}")
        };
        let again = again.starts_with("yes");
        let before = told.insert(
            reason.trim_matches('`').to_owned(),
            (code.to_owned(), again),
        );
        assert_eq!(before, None, "{reason} twice");
    }
    let all = Reason::ALL.iter().map(|reason| {
        let (name, code) = reason.on_the_wire();
        (
            name.to_owned(),
            (spelled(code), reason.retry_after().is_some()),
        )
    });
    assert_eq!(told, all.collect::<BTreeMap<_, _>>());
}

#[test]
fn a_status_says_the_same_as_a_part_of_a_batch() {
    for reason in Reason::ALL {
        let failure = Failure::new(*reason, "what and why")
            .at("key")
            .with("limit", 7);
        let part = v1::Failure::from(failure.clone());
        let status = Status::from(failure);
        let details = status.get_error_details();
        let info = details.error_info().expect("always");
        assert_eq!(
            (status.code() as i32, &info.reason),
            (part.code, &part.reason)
        );
        assert_eq!(
            (status.message(), info.metadata["limit"].as_str()),
            (&part.message[..], "7")
        );
        let violations = &details.bad_request().expect("a field").field_violations;
        assert_eq!(violations[0].field, "key");
        let again = details.retry_info().and_then(|info| info.retry_delay);
        assert_eq!(
            again,
            part.retry_after.and_then(|span| span.try_into().ok())
        );
    }
}

#[test]
fn every_error_of_the_core_has_its_reason() {
    for (kind, reason) in [
        (Kind::Invalid, Reason::Invalid),
        (Kind::UnknownCache, Reason::CacheUnknown),
        (Kind::Overloaded, Reason::Overloaded),
        (Kind::SourceDown, Reason::LoaderDown),
        (Kind::LoadTimeout, Reason::LoaderTimeout),
        (Kind::LoadFailed, Reason::LoaderFailed),
        (Kind::LoadPanicked, Reason::LoaderFailed),
        (Kind::WriteFailed, Reason::SourceRefused),
        (Kind::WriteUncertain, Reason::WriteUncertain),
        (Kind::Unavailable, Reason::L2Unavailable),
        (Kind::Mismatch, Reason::L2Mismatch),
        (Kind::Encode, Reason::Internal),
    ] {
        let failure = Failure::from(Error::new(kind, "doing", "something"));
        assert_eq!(failure.reason, reason, "{kind:?}");
    }
}

#[tokio::test]
async fn what_needs_redis_is_refused_until_it_was_reached() {
    let policies = vec![Policy::new("users").expect("a name")];
    let app = App::new(policies, Limits::default(), Arc::new(SystemClock::new())).await;
    let deadline = Deadline::within(Duration::from_secs(5));
    let (cache, key) = ("users".to_owned(), Bytes::from("k"));
    let set = v1::SetRequest {
        cache: cache.clone(),
        key: key.clone(),
        ..Default::default()
    };
    let delete = v1::DeleteRequest {
        cache: cache.clone(),
        key: key.clone(),
        session: None,
    };
    let touch = v1::TouchRequest {
        cache: cache.clone(),
        key: key.clone(),
        ttl: Duration::from_secs(1).try_into().ok(),
    };
    let invalidate = v1::InvalidateRequest {
        cache,
        keys: vec![key],
        ..Default::default()
    };
    let agent = &app.agent;
    for failure in [
        agent.set(set, deadline).await.map(drop),
        agent.delete(delete, deadline).await.map(drop),
        agent.touch(touch, deadline).await.map(drop),
        agent.invalidate(invalidate, deadline).await.map(drop),
    ] {
        let status = Status::from(failure.expect_err("a refusal"));
        assert!(status.get_error_details().retry_info().is_some());
        let refused = refusal::<()>(Err(status));
        assert_eq!(refused, (Code::Unavailable, "L2_UNAVAILABLE".to_owned()));
    }
    let miss = agent.get(get("k"), deadline).await.expect("a miss is none");
    assert!(matches!(
        miss.result,
        Some(v1::get_response::Result::Miss(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_that_takes_too_long_is_told_before_its_deadline() {
    let application = Application::default();
    application.state().hangs = true;
    let source = SourceAt::new(application.start().await);
    let mut policy = policy("users");
    policy.write_timeout = Duration::from_secs(20);
    let world = World::over(caches(source, policy, WriteMode::Through)).await;
    let mut request = tonic::Request::new(v1::SetRequest {
        cache: "users".to_owned(),
        key: Bytes::from("k"),
        ..Default::default()
    });
    request.set_timeout(Duration::from_millis(300));
    let refused = refusal(world.unix.cache.clone().set(request).await);
    assert_eq!(
        refused,
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freshness_from_the_future_is_refused() {
    let world = World::embedded().await;
    let request = patient(v1::GetRequest {
        freshness: 99,
        ..get("k")
    });
    let refused = refusal(world.tcp.cache.clone().get(request).await);
    assert_eq!(refused, (Code::InvalidArgument, "BAD_FRESHNESS".to_owned()));
}
