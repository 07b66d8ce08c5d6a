//! Health, reflection, the admin listener, and the end.

use crate::process::http;
use crate::world::{Client, Got, World, get, hit, quick};
use cache_agent::config::{Drain, Limits};
use cache_agent::listen::{ListenError, UnixDoor};
use cache_agent::proto::v1;
use cache_core::testkit::until::until;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1 as reflection, v1alpha};

/// What the health service says of a name.
pub(crate) async fn health(client: &Client, service: &str) -> ServingStatus {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let answer = HealthClient::new(client.channel.clone())
        .check(request)
        .await;
    answer.expect("an answer").into_inner().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_names_the_agent_and_its_services() {
    let world = World::embedded().await;
    for name in [
        "",
        "cacheaside.v1.CacheService",
        "cacheaside.v1.InvalidationService",
        "cacheaside.v1.StreamService",
    ] {
        assert_eq!(
            health(&world.unix, name).await,
            ServingStatus::Serving,
            "{name}"
        );
        assert_eq!(
            health(&world.tcp, name).await,
            ServingStatus::Serving,
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_lists_the_services_in_both_versions() {
    let world = World::embedded().await;
    let asked = reflection::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = reflection::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(asked),
    };
    let channel = world.unix.channel.clone();
    let mut new = reflection::server_reflection_client::ServerReflectionClient::new(channel);
    let answers = new
        .server_reflection_info(tokio_stream::once(request))
        .await;
    let answer = answers.expect("a stream").into_inner().next().await;
    let answer = format!("{:?}", answer.expect("an answer").expect("no error"));
    assert!(answer.contains("cacheaside.v1.CacheService"), "{answer}");
    assert!(
        answer.contains("cacheaside.v1.InvalidationService"),
        "{answer}"
    );

    let asked = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(asked),
    };
    let channel = world.tcp.channel.clone();
    let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let answers = old
        .server_reflection_info(tokio_stream::once(request))
        .await;
    let answer = answers.expect("a stream").into_inner().next().await;
    let answer = format!("{:?}", answer.expect("an answer").expect("no error"));
    assert!(answer.contains("cacheaside.v1.CacheService"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_listener_shows_what_the_api_did() {
    let world = World::embedded().await;
    let token = world.unix.lease("user:1").await;
    world.unix.fill("user:1", &token, "Ada").await;
    assert_eq!(world.unix.get("user:1").await, hit("Ada"));
    let (code, metrics) = http(world.admin, "/metrics").await;
    assert_eq!(code, 200);
    for series in [
        r#"cacheaside_gets_total{cache="users",tier="l1",result="hit"} 1"#,
        r#"cacheaside_build_info{version=""#,
        r#"cacheaside_l1_capacity_bytes{cache="users"} 67108864"#,
        "cacheaside_leases_held 0",
        r#"grpc_method="Fill",grpc_code="OK"} 1"#,
    ] {
        assert!(metrics.contains(series), "{series} in\n{metrics}");
    }
    assert_eq!(
        http(world.admin, "/ready").await,
        (200, "ready\n".to_owned())
    );
    assert_eq!(http(world.admin, "/live").await.0, 200);
    let (code, page) = http(world.admin, "/").await;
    assert!(code == 200 && page.starts_with("<!doctype html>"), "{page}");
    let (_, stats) = http(world.admin, "/stats.json").await;
    let stats: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
    assert_eq!(stats["agent"]["caches"][2]["name"], "users");
    assert_eq!(stats["agent"]["caches"][2]["l1"], 1);
    assert_eq!(stats["not_ready"], serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_loses_no_request_in_flight() {
    let world = World::embedded().await;
    let _token = world.unix.lease("user:1").await;
    let mut waiters = JoinSet::new();
    for client in [&world.unix, &world.tcp].into_iter().cycle().take(10) {
        let request = v1::GetRequest {
            wait: Some(prost_types::Duration {
                seconds: 1,
                nanos: 0,
            }),
            ..get("user:1")
        };
        let client = client.clone();
        waiters.spawn(async move { client.try_get(request).await });
    }
    let running = || async { world.app.agent.tasks.len() == 10 };
    until(Duration::from_secs(5), "all ten wait", running)
        .await
        .unwrap();
    world.stop.cancel();
    for answer in waiters.join_all().await {
        assert_eq!(answer.expect("an answer, not a reset"), Got::Busy);
    }
    world.serving.await.expect("no panic").expect("a clean end");
    assert!(
        !world.folder.path().join("agent.sock").exists(),
        "the socket is gone"
    );
    assert_eq!(
        world.app.agent.leases.len(),
        0,
        "what callers held is given back"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_drains_it_says_so_and_still_serves() {
    let drain = Drain {
        delay: Duration::from_secs(2),
        ..quick()
    };
    let world = World::embedded_with(drain, Limits::default()).await;
    let token = world.unix.lease("user:1").await;
    world.stop.cancel();
    let says_so = || async { health(&world.unix, "").await == ServingStatus::NotServing };
    until(Duration::from_secs(1), "health says it drains", says_so)
        .await
        .unwrap();
    assert_eq!(
        http(world.admin, "/ready").await,
        (503, "draining\n".to_owned())
    );
    assert_eq!(http(world.admin, "/live").await.0, 200);
    assert_eq!(
        world.unix.fill("user:1", &token, "Ada").await,
        v1::FillOutcome::Stored
    );
    assert_eq!(world.tcp.get("user:1").await, hit("Ada"));
    world.serving.await.expect("no panic").expect("a clean end");
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_a_living_one_is_not() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("agent.sock");
    // A listener's file stays when its process is killed.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    let door = UnixDoor::bind(&path)
        .await
        .expect("the stale file is replaced");
    let mode = std::fs::metadata(&path)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    assert!(matches!(
        UnixDoor::bind(&path).await,
        Err(ListenError::Taken(_))
    ));
    drop(door);
    assert!(!path.exists());
    std::fs::write(&path, "precious").expect("a file");
    assert!(matches!(
        UnixDoor::bind(&path).await,
        Err(ListenError::NotASocket(_))
    ));
    assert_eq!(
        std::fs::read_to_string(&path).expect("untouched"),
        "precious"
    );
}
