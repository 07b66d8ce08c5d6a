//! The cache that is compared with: moka before Redis, and deletes in both. Fast, and
//! wrong whenever a fill and a delete meet.

use super::{KEYS, load};
use crate::reader::Places;
use cache_core::event::Tier;
use futures_util::StreamExt;
use redis::RedisResult;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// How long it keeps an entry: as the shipping cache does.
const TTL: Duration = Duration::from_secs(300);

/// One process's part.
pub(crate) struct Bare {
    l1: moka::sync::Cache<u64, u64>,
    redis: ClusterConnection,
}

impl Bare {
    /// Connects, and deletes from here on what changes, until the last clone is gone.
    pub(crate) async fn connect(places: &Places) -> Arc<Self> {
        let client = ClusterClient::new(places.redis.clone()).expect("good addresses");
        let redis = client.get_async_connection().await;
        let bare = Arc::new(Self {
            l1: moka::sync::Cache::builder()
                .max_capacity(2 * KEYS)
                .time_to_live(TTL)
                .build(),
            redis: redis.expect("the cluster is up"),
        });
        let client = async_nats::connect(&places.nats).await.expect("NATS is up");
        let mut changes = client.subscribe("cdc.>").await.expect("NATS is up");
        let deleting = Arc::downgrade(&bare);
        tokio::spawn(async move {
            while let Some(change) = changes.next().await {
                let Some(bare) = deleting.upgrade() else {
                    return;
                };
                bare.delete(&change.payload).await;
            }
        });
        bare
    }

    pub(crate) async fn read(&self, key: u64, loads: &AtomicU64) -> Tier {
        if self.l1.get(&key).is_some() {
            return Tier::L1;
        }
        let mut redis = self.redis.clone();
        let name = format!("bare:{key}");
        let found: RedisResult<Option<u64>> =
            redis::cmd("GET").arg(&name).query_async(&mut redis).await;
        if let Some(value) = found.expect("the cluster is up") {
            self.l1.insert(key, value);
            return Tier::L2;
        }
        let value = load(loads).await;
        let mut set = redis::cmd("SET");
        set.arg(&name).arg(value).arg("EX").arg(TTL.as_secs());
        let stored: RedisResult<()> = set.query_async(&mut redis).await;
        stored.expect("the cluster is up");
        self.l1.insert(key, value);
        Tier::None
    }

    async fn delete(&self, event: &[u8]) {
        let event: serde_json::Value = serde_json::from_slice(event).expect("an event of ours");
        let key = event["keys"][0].as_str().expect("a key");
        let mut redis = self.redis.clone();
        let deleted: RedisResult<u64> = redis::cmd("DEL")
            .arg(format!("bare:{key}"))
            .query_async(&mut redis)
            .await;
        deleted.expect("the cluster is up");
        let key: u64 = key.parse().expect("a number");
        self.l1.invalidate(&key);
    }
}
