//! A primary of the cluster dies, or hangs.

use crate::ALONE;
use crate::fleet::{Load, key};
use cache_core::model::key::{Address, KeySpace};
use cache_core::testkit::servers::cluster::RedisCluster;
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::until::pace;
use cache_core::tier::redis::Deployment;
use cache_core::{Key, Name};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a probe of one shard has measured.
struct Shard {
    worst: Duration,
    /// The longest time without any answer.
    away: Duration,
}

fn address(row: usize) -> Address {
    let name = |text| Name::new(text).expect("a name");
    let key = key(row);
    KeySpace::new(name("main"), name("rows")).address(Key::new(key.as_bytes()).expect("a key"))
}

fn slot(address: &Address) -> u16 {
    let end = address
        .record
        .iter()
        .position(|&b| b == b'}')
        .expect("a hash tag");
    crc16::State::<crc16::XMODEM>::calculate(&address.record[1..end]) % 16_384
}

/// Reads one record every 2 ms until told to stop.
async fn probe(load: &Load, address: Address, stop: Arc<AtomicBool>) -> Shard {
    let remote = load.fleet.remote.clone();
    let mut shard = Shard {
        worst: Duration::ZERO,
        away: Duration::ZERO,
    };
    let clock = load.fleet.clock.clone();
    let mut answered = clock.now();
    while !stop.load(Ordering::Relaxed) {
        let began = clock.now();
        if remote.read(&address).await.is_ok() {
            answered = clock.now();
            shard.worst = shard.worst.max(answered.since(began));
        }
        shard.away = shard.away.max(clock.now().since(answered));
        pace(Duration::from_millis(2)).await;
    }
    shard
}

/// What is done to the first row's primary.
enum Fault {
    Kill,
    Hang,
}

async fn a_primary_fails(fault: Fault, story: &str) {
    let _alone = ALONE.lock().await;
    let cluster = RedisCluster::start().await.expect("a cluster starts");
    let nats = NatsServer::start().await.expect("nats-server starts");
    let deployment = Deployment::Cluster {
        urls: cluster.urls(),
    };
    let load = Load::start(&deployment, &nats.url()).await;
    let sick = cluster
        .primary_of_slot(slot(&address(0)))
        .await
        .expect("the cluster answers");
    let mut healthy = None;
    for row in 1.. {
        if cluster
            .primary_of_slot(slot(&address(row)))
            .await
            .expect("it answers")
            != sick
        {
            healthy = Some(row);
            break;
        }
    }
    let healthy = healthy.expect("there are other shards");
    load.run_for(Duration::from_secs(2)).await;

    let stop = Arc::new(AtomicBool::new(false));
    let course = async {
        match fault {
            Fault::Kill => cluster.kill9(sick).expect("it was running"),
            Fault::Hang => cluster.pause(sick).await.expect("it was running"),
        }
        load.run_for(Duration::from_secs(8)).await;
        if let Fault::Hang = fault {
            // The old primary comes back believing in itself.
            cluster.resume(sick).await.expect("it was hanging");
            load.run_for(Duration::from_secs(2)).await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    let ((), sick_shard, healthy_shard) = tokio::join!(
        course,
        probe(&load, address(0), stop.clone()),
        probe(&load, address(healthy), stop.clone()),
    );
    println!(
        "{story}: sick shard away {:?}; healthy shard's worst operation {:?}",
        sick_shard.away, healthy_shard.worst
    );
    load.finish(story).await;
    assert!(
        sick_shard.away < Duration::from_secs(5),
        "back within 5 s: {:?}",
        sick_shard.away
    );
    let worst = healthy_shard.worst.max(healthy_shard.away);
    assert!(
        worst < Duration::from_millis(50),
        "healthy shards do not notice: {worst:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_killed_during_reads() {
    a_primary_fails(Fault::Kill, "primary killed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_hangs_during_reads() {
    a_primary_fails(Fault::Hang, "primary hangs").await;
}
