//! The service for operators.

use crate::process::http;
use crate::world::{World, get, patient, refusal};
use bytes::Bytes;
use cache_agent::proto::v1::admin_service_client::AdminServiceClient;
use cache_agent::proto::v1::{self, Verdict};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

async fn admin(world: &World) -> AdminServiceClient<Channel> {
    let address = format!("http://{}", world.admin);
    let endpoint = Endpoint::from_shared(address).expect("an address");
    AdminServiceClient::new(endpoint.connect().await.expect("it listens"))
}

fn explain(key: &str) -> v1::ExplainKeyRequest {
    v1::ExplainKeyRequest {
        cache: "users".to_owned(),
        key: Bytes::copy_from_slice(key.as_bytes()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_counts_and_why_a_key_is_answered() {
    let world = World::embedded().await;
    let mut admin = admin(&world).await;
    world.unix.store("user:1", "Ada").await;
    world.unix.get("user:1").await;
    let request = v1::GetStatsRequest {
        caches: vec!["users".to_owned()],
    };
    let stats = admin
        .get_stats(request)
        .await
        .expect("an answer")
        .into_inner();
    assert!(stats.l1_trusted && stats.not_ready.is_empty(), "{stats:?}");
    let [users] = &stats.caches[..] else {
        panic!("one cache: {stats:?}")
    };
    assert_eq!((users.l1, users.misses), (1, 1));
    let all = admin.get_stats(v1::GetStatsRequest::default()).await;
    assert_eq!(all.expect("an answer").into_inner().caches.len(), 3);

    let held = admin.explain_key(explain("user:1")).await;
    let held = held.expect("an answer").into_inner();
    assert_eq!(held.verdict(), Verdict::HitInL1);
    let l2 = held.l2.expect("a state");
    assert!(l2.has_entry && l2.position.is_some() && l2.why_not.is_empty());
    assert!(
        held.text.starts_with("users/user:1: a value, from L1"),
        "{}",
        held.text
    );
    world.unix.invalidate_key("user:1").await;
    let gone = admin.explain_key(explain("user:1")).await;
    let gone = gone.expect("an answer").into_inner();
    assert_eq!(gone.verdict(), Verdict::Miss);
    assert!(!gone.l1.expect("a state").why_not.is_empty());
    let refused = refusal(admin.explain_key(explain("")).await);
    assert_eq!(refused, (Code::InvalidArgument, "KEY_EMPTY".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_what_is_asked_for_most() {
    let world = World::embedded().await;
    let mut admin = admin(&world).await;
    world.unix.store("user:1", "Ada").await;
    world.unix.store("user:2", "Eve").await;
    for turn in 0..640 {
        let request = v1::BatchGetRequest {
            requests: vec![get("user:1")],
        };
        world
            .unix
            .cache
            .clone()
            .batch_get(request)
            .await
            .expect("an answer");
        if turn % 8 == 0 {
            world.unix.get("user:2").await;
        }
    }
    let request = v1::ListHotKeysRequest {
        limit: 1,
        ..Default::default()
    };
    let hot = admin
        .list_hot_keys(request)
        .await
        .expect("an answer")
        .into_inner();
    let [hottest] = &hot.keys[..] else {
        panic!("{hot:?}")
    };
    assert_eq!(
        (&hottest.key[..], &hottest.cache[..]),
        (&b"user:1"[..], "users")
    );
    assert!((300..=1_200).contains(&hottest.reads), "{hottest:?}");
    for (limit, fits) in [(256, true), (257, false)] {
        let request = v1::ListHotKeysRequest {
            limit,
            ..Default::default()
        };
        let answer = admin.list_hot_keys(request).await;
        match fits {
            true => assert!(answer.is_ok(), "{answer:?}"),
            false => assert_eq!(refusal(answer).1, "BATCH_TOO_LARGE"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_switch_a_tier_off_and_on() {
    let world = World::embedded().await;
    let mut admin = admin(&world).await;
    world.unix.store("user:1", "Ada").await;
    let set = |l1: bool, seconds: i64| v1::SetSwitchesRequest {
        cache: "users".to_owned(),
        l1: Some(l1),
        ttl_cap: Some(prost_types::Duration { seconds, nanos: 0 }),
        ..Default::default()
    };
    let off = admin.set_switches(set(false, 60)).await.expect("an answer");
    let off = off.into_inner().switches.expect("they are told");
    assert!(!off.l1 && off.l2 && off.ttl_cap.is_some());
    let seen = admin
        .explain_key(explain("user:1"))
        .await
        .expect("an answer");
    assert_eq!(seen.into_inner().verdict(), Verdict::HitInL2);
    let refused = refusal(admin.set_switches(set(true, 3_600)).await);
    assert_eq!(refused, (Code::InvalidArgument, "INVALID".to_owned()));
    admin.set_switches(set(true, 0)).await.expect("an answer");
    let request = v1::GetSwitchesRequest {
        cache: "users".to_owned(),
    };
    let on = admin.get_switches(request).await.expect("an answer");
    let on = on.into_inner().switches.expect("they are told");
    assert!(on.l1 && on.ttl_cap.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_applications_socket_knows_no_operators() {
    let world = World::embedded().await;
    for channel in [&world.unix.channel, &world.tcp.channel] {
        let mut admin = AdminServiceClient::new(channel.clone());
        let answer = admin
            .get_stats(patient(v1::GetStatsRequest::default()))
            .await;
        assert_eq!(answer.expect_err("a refusal").code(), Code::Unimplemented);
    }
    let (code, _) = crate::process::http(world.admin, "/ready").await;
    assert_eq!(
        code, 200,
        "the other doors of that listener are as they were"
    );
    let (code, _) = crate::process::http(world.admin, "/readyz").await;
    assert_eq!(code, 404, "a probe with a wrong path is told so");
    let path = "/cacheaside.v1.AdminService/SetSwitches";
    let (code, _) = crate::process::http(world.admin, path).await;
    assert_eq!(
        code, 421,
        "asked by a name, as by a page whose name leads here"
    );
    let (code, _) = crate::process::http_to("127.0.0.1", world.admin, path).await;
    assert_eq!(code, 415, "what a browser would send is not read");
}

/// What is open to other machines says how the agent does; it shows no key and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_scrapes_sees_how_it_does_and_nothing_else() {
    let world = World::embedded().await;
    for path in ["/live", "/ready"] {
        assert_eq!(http(world.scrape, path).await.0, 200, "{path}");
    }
    let (code, metrics) = http(world.scrape, "/metrics").await;
    assert_eq!(code, 200);
    assert!(metrics.contains("cacheaside_gets_total"), "{metrics}");
    for path in [
        "/",
        "/stats.json",
        "/page.json",
        "/explain.json",
        "/page/agent.js",
    ] {
        assert_eq!(http(world.scrape, path).await.0, 404, "{path}");
    }
    let endpoint = Endpoint::from_shared(format!("http://{}", world.scrape));
    let channel = endpoint.expect("an address").connect().await;
    let mut admin = AdminServiceClient::new(channel.expect("it listens"));
    let refused = admin.get_stats(v1::GetStatsRequest::default()).await;
    assert_eq!(
        refused.expect_err("no operators here").code(),
        Code::Unimplemented
    );
}
