//! A Redis that holds garbage, other types, or is not there at all.

use cache_core::coherence::listen::Proof;
use cache_core::connect::{self, BusAt, RemoteAt};
use cache_core::event::Silent;
use cache_core::metrics::Metrics;
use cache_core::model::key::{Address, Key, KeySpace};
use cache_core::source::Cause;
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::tier::redis::Deployment;
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, DomainSettings, Kind, Lookup, Name, Policy, Role};
use prometheus_client::registry::Registry;
use redis::aio::MultiplexedConnection;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn settings(url: String) -> DomainSettings {
    DomainSettings {
        remote: RemoteAt::Redis {
            deployment: Deployment::Single { url },
            access: Box::default(),
            timeout: Duration::from_millis(500),
        },
        ..DomainSettings::embedded()
    }
}

fn address() -> Address {
    let name = |text| Name::new(text).expect("a name");
    KeySpace::new(name("main"), name("users")).address(Key::new(b"k").expect("a key"))
}

async fn load(cache: &Cache<String>, loads: &Arc<AtomicU64>) -> String {
    let loads = loads.clone();
    let load = move |_| async move {
        loads.fetch_add(1, Ordering::SeqCst);
        Ok::<_, Cause>(Some("fresh".to_owned()))
    };
    let hit = cache.get_or_load("k", load).await;
    (*hit.expect("no error").expect("a row")).clone()
}

async fn run(connection: &mut MultiplexedConnection, verb: &str, args: &[&[u8]]) {
    let mut cmd = redis::cmd(verb);
    for arg in args {
        cmd.arg(*arg);
    }
    let answer: redis::RedisResult<redis::Value> = cmd.query_async(connection).await;
    answer.expect("Redis answers");
}

#[tokio::test]
async fn garbage_and_other_types_in_redis_are_misses_and_are_counted() {
    let server = RedisServer::start().await.expect("redis-server starts");
    let metrics = Arc::new(Metrics::new(&mut Registry::default()));
    let client = redis::Client::open(server.url()).expect("an address");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("it is up");
    let record = address().record;
    let value_head = [&b"V"[..], &[b'0'; 32], b"not an envelope"].concat();
    let cases: [(&str, &[&[u8]]); 5] = [
        ("SET", &[&record, b"garbage"]),
        ("SET", &[&record, b""]),
        ("SET", &[&record, &value_head]),
        ("SET", &[&record, b"M0000"]),
        ("LPUSH", &[&record, b"a list"]),
    ];
    let loads = Arc::new(AtomicU64::new(0));
    for (at, (verb, args)) in cases.into_iter().enumerate() {
        // A process of its own each time, so that L1 knows nothing.
        let domain = connect::open(&settings(server.url()), Role::Member, metrics.clone()).await;
        let domain = domain.expect("Redis is up");
        let policy = Policy::new("users").expect("a name");
        let cache = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
        run(&mut connection, "DEL", &[&record]).await;
        run(&mut connection, verb, args).await;
        assert_eq!(load(&cache, &loads).await, "fresh", "case {at}");
        assert_eq!(load(&cache, &loads).await, "fresh", "case {at}");
        assert_eq!(
            loads.load(Ordering::SeqCst),
            at as u64 + 1,
            "stored again, case {at}"
        );
    }
    assert_eq!(metrics.caches()[0].errors, 0, "a miss is never an error");
    assert!(
        metrics.codec_errors("users") >= 4,
        "{}",
        metrics.codec_errors("users")
    );
}

#[tokio::test]
async fn a_watermark_of_another_type_is_replaced_and_stores_nothing_before() {
    let server = RedisServer::start().await.expect("redis-server starts");
    let client = redis::Client::open(server.url()).expect("an address");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("it is up");
    let watermark = Address::watermark(&Name::new("main").expect("a name"), address().bucket);
    run(&mut connection, "LPUSH", &[&watermark, b"a list"]).await;
    let domain = connect::open(&settings(server.url()), Role::Member, Arc::new(Silent)).await;
    let domain = domain.expect("Redis is up");
    let policy = Policy::new("users").expect("a name");
    let cache = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
    let loads = Arc::new(AtomicU64::new(0));
    assert_eq!(load(&cache, &loads).await, "fresh");
    assert!(
        matches!(cache.get("k").await, Ok(Lookup::Hit(_))),
        "the heartbeat replaced it"
    );
}

#[tokio::test]
async fn an_unreachable_redis_or_nats_is_named_without_its_password() {
    // Port 1 is nobody's.
    let redis = settings("redis://:secret@127.0.0.1:1".to_owned());
    let error = connect::open(&redis, Role::Member, Arc::new(Silent))
        .await
        .expect_err("nobody");
    assert_eq!(error.kind(), Kind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains("127.0.0.1:1") && !text.contains("secret"),
        "{text}"
    );
    let nats = DomainSettings {
        bus: BusAt::Nats {
            at: "nats://user:secret@127.0.0.1:1".into(),
            prefix: "test".to_owned(),
        },
        ..DomainSettings::embedded()
    };
    let error = connect::open(&nats, Role::Member, Arc::new(Silent))
        .await
        .expect_err("nobody");
    assert_eq!(error.kind(), Kind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains("127.0.0.1:1") && !text.contains("secret"),
        "{text}"
    );
}

#[tokio::test]
async fn a_redis_that_dies_costs_loads_but_no_errors() {
    let server = RedisServer::start().await.expect("redis-server starts");
    let domain = connect::open(&settings(server.url()), Role::Member, Arc::new(Silent)).await;
    let domain = domain.expect("Redis is up");
    let policy = Policy::new("users").expect("a name");
    let cache = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
    server.kill9();
    let loads = Arc::new(AtomicU64::new(0));
    for _ in 0..3 {
        assert_eq!(load(&cache, &loads).await, "fresh");
    }
    assert_eq!(
        loads.load(Ordering::SeqCst),
        3,
        "what L2 did not take is kept nowhere"
    );
    assert!(
        !cache.invalidate("k").await.expect("it is kept for later"),
        "L2 has not"
    );
}

#[tokio::test]
async fn a_process_told_otherwise_of_its_domain_does_not_join() {
    let server = RedisServer::start().await.expect("redis-server starts");
    let first = connect::open(&settings(server.url()), Role::Member, Arc::new(Silent)).await;
    first.expect("nobody was there before");
    let other = DomainSettings {
        proof: Proof::Invalidator,
        ..settings(server.url())
    };
    let error = connect::open(&other, Role::Member, Arc::new(Silent))
        .await
        .expect_err("differs");
    assert_eq!(error.kind(), Kind::Mismatch);
    let text = error.to_string();
    assert!(
        text.contains("trust_by=echo") && text.contains("trust_by=invalidator"),
        "{text}"
    );
}
