//! Caches that have the application load.

use crate::application::{Application, caches, policy};
use crate::world::{Got, World, get, hit, patient, refusal};
use cache_agent::proto::v1::{self, Freshness, StaleReason, Tier, get_response};
use cache_agent::strategies::{SourceAt, WriteMode};
use cache_core::Policy;
use cache_core::policy::Refresh;
use cache_core::testkit::until::until;
use std::time::Duration;
use tokio::task::JoinSet;
use tonic::Code;

const PATIENCE: Duration = Duration::from_secs(30);

async fn world_with(
    application: &Application,
    limits: impl FnOnce(&mut SourceAt),
    change: impl FnOnce(&mut Policy),
) -> World {
    let mut source = SourceAt::new(application.start().await);
    limits(&mut source);
    let mut policy = policy("users");
    change(&mut policy);
    World::over(caches(source, policy, WriteMode::Aside)).await
}

async fn world(application: &Application) -> World {
    world_with(application, |_| {}, |_| {}).await
}

/// What a Get with a freshness is answered, and from where.
async fn ask(world: &World, key: &str, freshness: Freshness) -> get_response::Result {
    let request = v1::GetRequest {
        freshness: freshness.into(),
        ..get(key)
    };
    let answer = world.unix.cache.clone().get(patient(request)).await;
    let answer = answer.expect("an answer").into_inner();
    answer.result.expect("a result is always set")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missed_is_loaded_once_for_all_who_ask() {
    let application = Application::default();
    application.put("user:1", "Ada");
    application.state().takes = Duration::from_millis(100);
    let world = world(&application).await;
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let client = world.tcp.clone();
        callers.spawn(async move { client.get("user:1").await });
    }
    let answers = callers.join_all().await;
    assert!(answers.iter().all(|got| *got == hit("Ada")), "{answers:?}");
    assert_eq!(application.state().loads, [1]);
    let wanted = application.state().wanted.take().expect("it was asked");
    assert!(wanted.at_least.is_some() && wanted.known.is_none());
    assert_eq!(world.unix.get("user:2").await, Got::Negative);
    assert_eq!(
        world.unix.get("user:2").await,
        Got::Negative,
        "it is remembered"
    );
    assert_eq!(application.state().loads, [1, 1]);
    world.unix.invalidate_key("user:1").await;
    application.put("user:1", "Eve");
    assert_eq!(world.unix.get("user:1").await, hit("Eve"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_that_wait_for_a_turn_go_together() {
    let application = Application::default();
    for at in 0..200 {
        application.put(&format!("user:{at}"), &at.to_string());
    }
    application.state().takes = Duration::from_millis(20);
    let limits = |source: &mut SourceAt| (source.calls_max, source.batch_max) = (1, 16);
    let world = world_with(&application, limits, |_| {}).await;
    let requests = (0..200).map(|at| get(&format!("user:{at}"))).collect();
    let batch = patient(v1::BatchGetRequest { requests });
    let answer = world.unix.cache.clone().batch_get(batch).await;
    let results = answer.expect("an answer").into_inner().results;
    for (at, result) in results.into_iter().enumerate() {
        let Some(v1::get_result::Result::Response(response)) = result.result else {
            panic!("{result:?}")
        };
        assert_eq!(Got::from(response), hit(&at.to_string()));
    }
    let loads = application.state().loads.clone();
    assert_eq!(loads.iter().sum::<usize>(), 200, "each once: {loads:?}");
    assert!(loads.len() < 60, "together: {loads:?}");
    assert!(
        loads.iter().all(|size| *size <= 16),
        "within the limit: {loads:?}"
    );
    assert!(loads.contains(&16), "up to the limit: {loads:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_fails_or_hangs_is_told_by_name() {
    let application = Application::default();
    let soon = |policy: &mut Policy| policy.load_timeout = Duration::from_millis(500);
    let world = world_with(&application, |_| {}, soon).await;
    application.state().error = Some(Code::NotFound);
    let failed = refusal(world.unix.try_get(get("user:1")).await);
    assert_eq!(failed, (Code::Unavailable, "LOADER_FAILED".to_owned()));
    application.state().error = None;
    application.state().hangs = true;
    let slow = refusal(world.unix.try_get(get("user:2")).await);
    assert_eq!(slow, (Code::Unavailable, "LOADER_TIMEOUT".to_owned()));
    // A caller with less time than the load gets a miss in time.
    let mut request = tonic::Request::new(get("user:3"));
    request.set_timeout(Duration::from_millis(200));
    let answer = world.unix.cache.clone().get(request).await;
    let answer = answer.expect("an answer in time").into_inner();
    assert_eq!(Got::from(answer), Got::Busy);
    application.state().hangs = false;
    application.state().error = Some(Code::Internal);
    let down = || async {
        let key = format!("user:{}", application.state().loads.len());
        refusal(world.unix.try_get(get(&key)).await).1 == "LOADER_DOWN"
    };
    let waited = until(PATIENCE, "the source is left alone", down).await;
    waited.expect("so many failed");
    application.state().error = None;
    let up = || async { world.unix.try_get(get("user:900")).await.ok() == Some(Got::Negative) };
    until(PATIENCE, "it is tried again", up)
        .await
        .expect("it answers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_will_not_load_does_not_make_the_application_load() {
    let application = Application::default();
    application.put("user:1", "Ada");
    let world = world(&application).await;
    let request = v1::GetRequest {
        no_lease: true,
        ..get("user:1")
    };
    let got = world.unix.try_get(request).await;
    assert_eq!(got.expect("an answer"), Got::Busy);
    assert!(application.state().loads.is_empty());
    assert_eq!(world.unix.get("user:1").await, hit("Ada"));
    let strict = ask(&world, "user:1", Freshness::Strict).await;
    assert!(matches!(strict, get_response::Result::Hit(hit) if hit.tier() == Tier::Source));
    assert_eq!(application.state().loads.len(), 2);
    let wanted = application.state().wanted.take().expect("it was asked");
    assert!(wanted.primary, "a strict read is no replica's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_source_fails_an_expired_value_is_answered_and_says_so() {
    let application = Application::default();
    application.put("user:1", "Ada");
    let brief = |policy: &mut Policy| {
        policy.lifetime.ttl = Duration::from_millis(50);
        policy.lifetime.l1_ttl = Duration::from_millis(50);
    };
    let world = world_with(&application, |_| {}, brief).await;
    assert_eq!(world.unix.get("user:1").await, hit("Ada"));
    application.state().error = Some(Code::Internal);
    let stale = || async {
        match ask(&world, "user:1", Freshness::Unspecified).await {
            get_response::Result::Hit(hit) => hit.stale_reason() == StaleReason::Source,
            _ => false,
        }
    };
    until(PATIENCE, "it expires", stale)
        .await
        .expect("it is answered");
    let fresh = ask(&world, "user:1", Freshness::Fresh).await;
    assert!(matches!(fresh, get_response::Result::Miss(_)), "{fresh:?}");
    application.state().error = None;
    let known = || async {
        world.unix.try_get(get("user:1")).await.ok();
        let state = application.state();
        state.wanted.as_ref().is_some_and(|wanted| {
            let known = wanted.known.as_ref();
            known.is_some_and(|known| known.validator == "v1" && known.value.is_some())
        })
    };
    let waited = until(PATIENCE, "the application is shown what is known", known).await;
    waited.expect("with what it said to tell it by");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_is_loaded_anew_before_it_expires() {
    let application = Application::default();
    application.put("user:1", "Ada");
    let ahead = |policy: &mut Policy| {
        policy.lifetime.ttl = Duration::from_secs(30);
        policy.lifetime.l1_ttl = Duration::from_secs(30);
        policy.refresh = Some(Refresh {
            share: 0.01,
            ..Refresh::default()
        });
    };
    let world = world_with(&application, |_| {}, ahead).await;
    assert_eq!(world.unix.get("user:1").await, hit("Ada"));
    let again = || async {
        let got = ask(&world, "user:1", Freshness::Unspecified).await;
        let from_a_tier =
            matches!(got, get_response::Result::Hit(hit) if hit.tier() != Tier::Source);
        assert!(from_a_tier, "nobody waits");
        application.state().loads.len() >= 3
    };
    let waited = until(PATIENCE, "it is loaded twice more", again).await;
    waited.expect("long before it expires");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_is_called_over_its_socket_as_soon_as_it_is_there() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("loader.sock");
    let source = SourceAt::new(format!("unix://{}", path.display()));
    let world = World::over(caches(source, policy("users"), WriteMode::Aside)).await;
    let away = refusal(world.unix.try_get(get("user:1")).await);
    assert_eq!(away, (Code::Unavailable, "LOADER_FAILED".to_owned()));
    let application = Application::default();
    application.put("user:1", "Ada");
    application.start_at(&path);
    let there = || async { world.unix.try_get(get("user:1")).await.ok() == Some(hit("Ada")) };
    until(PATIENCE, "it answers", there)
        .await
        .expect("it is there");
}
