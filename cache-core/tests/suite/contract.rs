//! The contract suites over every implementation, and the differential test.

use cache_core::Name;
use cache_core::bus::memory::MemoryBus;
use cache_core::bus::nats::NatsBus;
use cache_core::clock::SystemClock;
use cache_core::queue::memory::MemoryQueue;
use cache_core::queue::nats::{NatsQueue, QueueSettings};
use cache_core::random::SystemRandom;
use cache_core::testkit::contract;
use cache_core::testkit::history;
use cache_core::testkit::servers::cluster::RedisCluster;
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::testkit::servers::sentinel::SentinelTrio;
use cache_core::tier::memory::MemoryRemote;
use cache_core::tier::redis::{Deployment, RedisRemote};
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);

fn main_domain() -> Name {
    Name::new("main").expect("a name within its limits")
}

pub(crate) async fn flush(url: &str) {
    let client = redis::Client::open(url).expect("an address");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("Redis is up");
    let flushed: redis::RedisResult<()> = redis::cmd("FLUSHALL").query_async(&mut connection).await;
    flushed.expect("Redis flushes");
}

async fn connect(deployment: &Deployment) -> RedisRemote {
    let remote = RedisRemote::connect(main_domain(), deployment, TIMEOUT).await;
    remote.expect("Redis is up")
}

#[tokio::test]
async fn l2_in_memory_keeps_the_contract() {
    contract::remote::check(async || MemoryRemote::new(Arc::new(SystemClock::new()))).await;
}

#[tokio::test]
async fn l2_on_one_redis_keeps_the_contract() {
    let server = RedisServer::start().await.expect("redis-server starts");
    let deployment = Deployment::Single { url: server.url() };
    contract::remote::check(async || {
        flush(&server.url()).await;
        connect(&deployment).await
    })
    .await;
}

#[tokio::test]
async fn l2_on_a_cluster_keeps_the_contract() {
    let cluster = RedisCluster::start().await.expect("a cluster starts");
    let deployment = Deployment::Cluster {
        urls: cluster.urls(),
    };
    contract::remote::check(async || {
        for node in cluster.nodes().await.expect("the cluster answers") {
            if !node.slots.is_empty() {
                flush(&format!("redis://127.0.0.1:{}", node.port)).await;
            }
        }
        connect(&deployment).await
    })
    .await;
}

#[tokio::test]
async fn l2_behind_sentinels_keeps_the_contract_and_outlives_its_master() {
    let trio = SentinelTrio::start().await.expect("sentinels start");
    let deployment = Deployment::Sentinel {
        urls: trio.sentinel_urls(),
        service: trio.service_name().to_owned(),
    };
    contract::remote::check(async || {
        let port = trio.master_port().await.expect("sentinels answer");
        flush(&format!("redis://127.0.0.1:{port}")).await;
        connect(&deployment).await
    })
    .await;
    let remote = connect(&deployment).await;
    trio.kill_master().await.expect("the master dies");
    let answers = || async {
        let beat = cache_core::tier::Beat {
            bucket: cache_core::model::key::Bucket(0),
            seen: cache_core::Position::ZERO,
            known: cache_core::tier::Known::NOTHING,
            doubted: false,
        };
        use cache_core::tier::Remote;
        remote.beat(vec![beat]).await.iter().all(Result::is_ok)
    };
    cache_core::testkit::until::until(Duration::from_secs(30), "the new master answers", answers)
        .await
        .expect("sentinels promote the replica");
}

#[tokio::test]
async fn memory_and_redis_agree_on_10_000_histories() {
    let server = RedisServer::start().await.expect("redis-server starts");
    let redis = connect(&Deployment::Single { url: server.url() }).await;
    let memory = MemoryRemote::new(Arc::new(SystemClock::new()));
    let client = redis::Client::open(server.url()).expect("an address");
    let mut flusher = client
        .get_multiplexed_async_connection()
        .await
        .expect("Redis is up");
    let mut steps_run = 0;
    for seed in 0..10_000 {
        let flushed: redis::RedisResult<()> =
            redis::cmd("FLUSHALL").query_async(&mut flusher).await;
        flushed.expect("Redis flushes");
        memory.forget_all();
        let steps = history::of_seed(seed);
        for (at, step) in steps.iter().enumerate() {
            let by_memory = history::run(&memory, step).await;
            let by_redis = history::run(&redis, step).await;
            assert_eq!(
                by_memory,
                by_redis,
                "seed {seed}, step {at}: memory left, Redis right\n{:#?}",
                &steps[..=at]
            );
            steps_run += 1;
        }
    }
    println!("10000 histories, {steps_run} steps, every answer agreed");
}

#[tokio::test]
async fn the_bus_in_memory_keeps_the_contract() {
    contract::bus::check(&MemoryBus::new()).await;
}

#[tokio::test]
async fn the_bus_over_nats_keeps_the_contract() {
    let server = NatsServer::start().await.expect("nats-server starts");
    // One server that is away must not matter where another answers.
    let urls = format!("nats://127.0.0.1:1, {}", server.url());
    let bus = NatsBus::connect(&urls, "test", &main_domain()).await;
    contract::bus::check(&bus.expect("NATS is up")).await;
}

const QUEUE_BYTES: usize = 100_000;

#[tokio::test]
async fn a_queue_in_memory_keeps_the_contract() {
    contract::queue::check(async || MemoryQueue::new(Arc::new(SystemClock::new()), QUEUE_BYTES))
        .await;
}

#[tokio::test]
async fn a_queue_in_nats_keeps_the_contract() {
    let server = NatsServer::start().await.expect("nats-server starts");
    let queues = std::sync::atomic::AtomicU32::new(0);
    contract::queue::check(async || {
        let number = queues.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let settings = QueueSettings {
            at: server.url().into(),
            prefix: "cacheaside".to_owned(),
            bytes_max: QUEUE_BYTES,
            replicas: 1,
        };
        let cache = Name::new(format!("v1.users{number}")).expect("a name");
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        let queue = NatsQueue::open(&settings, &main_domain(), &cache, clock, random).await;
        queue.expect("NATS makes streams")
    })
    .await;
}
