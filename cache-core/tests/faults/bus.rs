//! NATS dies and comes back.

use crate::ALONE;
use crate::fleet::Load;
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::testkit::until::until;
use cache_core::tier::redis::Deployment;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_killed_and_restarted_during_reads() {
    let _alone = ALONE.lock().await;
    let redis = RedisServer::start().await.expect("redis-server starts");
    let nats = NatsServer::start().await.expect("nats-server starts");
    let deployment = Deployment::Single { url: redis.url() };
    let load = Load::start(&deployment, &nats.url()).await;
    load.run_for(Duration::from_secs(1)).await;

    nats.kill9();
    let trusted = |expected: bool| {
        let members = load.members.clone();
        move || {
            let members = members.clone();
            async move {
                members
                    .iter()
                    .all(|m| m.trust().holds(m.clock().now()) == expected)
            }
        }
    };
    let lapsed = until(
        Duration::from_secs(3),
        "the coherence lease lapses",
        trusted(false),
    );
    lapsed.await.expect("no L1 answers without a bus");
    load.run_for(Duration::from_secs(2)).await;

    nats.restart().await.expect("nats-server starts again");
    let again = until(
        Duration::from_secs(10),
        "L1 is trusted again",
        trusted(true),
    );
    again.await.expect("the bus is back");
    load.run_for(Duration::from_secs(2)).await;
    load.finish("NATS killed and restarted").await;
}
