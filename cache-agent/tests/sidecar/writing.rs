//! Caches that have the application write: at once, and behind.

use crate::application::{Application, caches, policy};
use crate::world::{Got, World, get, hit, patient, refusal};
use bytes::Bytes;
use cache_agent::app::App;
use cache_agent::caches::Queues;
use cache_agent::config::Limits;
use cache_agent::deadline::Deadline;
use cache_agent::demo::members::Embedded;
use cache_agent::failure::Reason;
use cache_agent::proto::v1::{self, DeleteOutcome, SetOutcome, set_request};
use cache_agent::strategies::{SourceAt, WriteMode};
use cache_core::clock::{Clock, SystemClock};
use cache_core::queue::memory::MemoryQueue;
use cache_core::testkit::until::until;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status};

const PATIENCE: Duration = Duration::from_secs(30);

async fn world(application: &Application, writes: WriteMode) -> World {
    let source = SourceAt::new(application.start().await);
    World::over(caches(source, policy("users"), writes)).await
}

fn set(key: &str, value: &str) -> v1::SetRequest {
    v1::SetRequest {
        cache: "users".to_owned(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        ..Default::default()
    }
}

async fn try_set(world: &World, request: v1::SetRequest) -> Result<v1::SetResponse, Status> {
    let set = world.unix.cache.clone().set(patient(request)).await;
    Ok(set?.into_inner())
}

async fn delete(world: &World, key: &str) -> v1::DeleteResponse {
    let request = v1::DeleteRequest {
        cache: "users".to_owned(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        session: None,
    };
    let deleted = world.tcp.cache.clone().delete(patient(request)).await;
    deleted.expect("an answer").into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_in_the_source_before_its_set_is_answered() {
    let application = Application::default();
    let world = world(&application, WriteMode::Through).await;
    assert_eq!(world.unix.get("user:1").await, Got::Negative);
    let request = v1::SetRequest {
        session: Some(String::new()),
        ..set("user:1", "Ada")
    };
    let stored = try_set(&world, request).await.expect("an answer");
    assert_eq!(stored.outcome(), SetOutcome::Stored);
    assert!(stored.position.is_some());
    assert_eq!(application.row("user:1").as_deref(), Some("Ada"));
    let loads = application.state().loads.len();
    let request = v1::GetRequest {
        session: stored.session,
        ..get("user:1")
    };
    let got = world.tcp.try_get(request).await;
    assert_eq!(got.expect("an answer"), hit("Ada"), "its own write");
    assert_eq!(application.state().loads.len(), loads, "from L2");
    assert_eq!(
        delete(&world, "user:1").await.outcome(),
        DeleteOutcome::Deleted
    );
    assert_eq!(application.row("user:1"), None);
    assert_eq!(world.unix.get("user:1").await, Got::Negative);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_source_refuses_or_may_have_written_is_told_by_name() {
    let application = Application::default();
    application.put("user:1", "Ada");
    let world = world(&application, WriteMode::Through).await;
    assert_eq!(world.unix.get("user:1").await, hit("Ada"));
    application.state().error = Some(Code::FailedPrecondition);
    let refused = refusal(try_set(&world, set("user:1", "Eve")).await);
    assert_eq!(refused, (Code::Aborted, "SOURCE_REFUSED".to_owned()));
    application.state().error = Some(Code::Internal);
    let unknown = refusal(try_set(&world, set("user:1", "Eve")).await);
    assert_eq!(unknown, (Code::Unknown, "WRITE_UNCERTAIN".to_owned()));
    application.state().error = None;
    assert_eq!(
        world.unix.get("user:1").await,
        hit("Ada"),
        "what the source has"
    );

    let options = v1::SetRequest {
        options: Some(v1::StoreOptions::default()),
        ..set("user:1", "Eve")
    };
    let refused = refusal(try_set(&world, options).await);
    assert_eq!(
        refused,
        (Code::InvalidArgument, "FIELD_UNSUPPORTED".to_owned())
    );
    let absent = set_request::IfAbsent {};
    let conditional = v1::SetRequest {
        condition: Some(set_request::Condition::IfAbsent(absent)),
        ..set("user:1", "Eve")
    };
    let refused = refusal(try_set(&world, conditional).await);
    assert_eq!(refused.1, "CONDITION_UNSUPPORTED");
    assert_eq!(application.row("user:1").as_deref(), Some("Ada"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_behind_reach_the_source_together_and_are_read_then() {
    let application = Application::default();
    let world = world(&application, WriteMode::Behind).await;
    write_behind(&application, &world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_behind_do_so_over_a_queue_in_nats_too() {
    let application = Application::default();
    let source = SourceAt::new(application.start().await);
    let caches = caches(source, policy("users"), WriteMode::Behind);
    write_behind(&application, &World::real_over(caches).await).await;
}

async fn write_behind(application: &Application, world: &World) {
    let requests = (0..40).map(|at| set(&format!("user:{at}"), &at.to_string()));
    let requests = requests.collect();
    let batch = patient(v1::BatchSetRequest { requests });
    let answer = world.unix.cache.clone().batch_set(batch).await;
    for one in answer.expect("an answer").into_inner().results {
        let Some(v1::set_result::Result::Response(response)) = one.result else {
            panic!("{one:?}")
        };
        assert_eq!(response.outcome(), SetOutcome::Queued);
        assert!(response.queued_as > 0);
    }
    let all = || async { application.state().rows.len() == 40 };
    until(PATIENCE, "the source has all", all)
        .await
        .expect("within moments");
    let stores = application.state().stores.clone();
    assert!(stores.len() < 20, "together: {stores:?}");
    let read = || async { world.tcp.get("user:7").await == hit("7") };
    until(PATIENCE, "it is read", read)
        .await
        .expect("the source has it");
    assert_eq!(
        delete(world, "user:7").await.outcome(),
        DeleteOutcome::Queued
    );
    let gone = || async { world.tcp.get("user:7").await == Got::Negative };
    until(PATIENCE, "it is gone", gone)
        .await
        .expect("the source deleted it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_ends_writes_what_waits() {
    let application = Application::default();
    let world = world(&application, WriteMode::Behind).await;
    try_set(&world, set("user:1", "Ada"))
        .await
        .expect("an answer");
    world.stop.cancel();
    world.serving.await.expect("no panic").expect("a clean end");
    assert_eq!(application.row("user:1").as_deref(), Some("Ada"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_full_or_closed_is_told_by_name() {
    let application = Application::default();
    application.state().error = Some(Code::ResourceExhausted);
    let source = SourceAt::new(application.start().await);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let caches = caches(source, policy("users"), WriteMode::Behind);
    let app = App::over(caches, Limits::default(), clock.clone()).await;
    let domain = Embedded::new(clock.clone(), false).expect("a domain");
    let domain = domain.member(app.watcher.clone()).await.expect("it joins");
    let name = app.agent.caches.behind().next().expect("users").clone();
    let queues: Queues = [(name, Arc::new(MemoryQueue::new(clock, 400)) as _)].into();
    app.open(&domain, &queues).await.expect("it opens");
    let set = async |value: &str| {
        let deadline = Deadline::within(PATIENCE);
        app.agent.set(set("user:1", value), deadline).await
    };
    set(&"x".repeat(100)).await.expect("there is room");
    let full = set(&"x".repeat(400)).await.expect_err("there is no more");
    assert_eq!(full.reason, Reason::WriteBehindFull);
    assert_eq!(full.reason.on_the_wire().1, Code::ResourceExhausted);
    application.state().error = None;
    domain.leave().await;
    let closed = set("x").await.expect_err("it is closed");
    assert_eq!(closed.reason, Reason::QueueUnavailable);
    assert_eq!(closed.reason.on_the_wire().1, Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_gets_no_turn_was_surely_not_written() {
    let application = Application::default();
    application.put("user:3", "Ada");
    application.state().hangs = true;
    let mut source = SourceAt::new(application.start().await);
    source.calls_max = 1;
    let mut policy = policy("users");
    policy.write_timeout = Duration::from_secs(2);
    let world = World::over(caches(source, policy, WriteMode::Through)).await;
    let first = try_set(&world, set("user:1", "x"));
    let second = async {
        let called = || async { application.state().stores.len() == 1 };
        until(PATIENCE, "the first is under way", called)
            .await
            .expect("it is");
        let began = tokio::time::Instant::now();
        (try_set(&world, set("user:2", "x")).await, began.elapsed())
    };
    let (first, (second, took)) = tokio::join!(first, second);
    assert_eq!(refusal(first).1, "WRITE_UNCERTAIN");
    assert_eq!(refusal(second).1, "SOURCE_REFUSED");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(application.state().stores, [1], "it was not called");
    application.state().hangs = false;
    assert_eq!(
        world.unix.get("user:3").await,
        hit("Ada"),
        "loads have turns of their own"
    );
}
