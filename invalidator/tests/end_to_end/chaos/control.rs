//! Negative controls on the same servers: caches as they are usually built, which the
//! same judge must find out.
//!
//! | | a fill is accepted | an invalidation | L1 |
//! | --- | --- | --- | --- |
//! | naive | always | deletes | kept until told |
//! | lease-only | under the lease that the miss was given | deletes, and ends the lease | none |
//! | marks-only | if it is not older than the mark | leaves a mark with its position | none |

use super::sources::Sources;
use crate::reader::Places;
use async_nats::jetstream::{self, AckKind, consumer::pull};
use cache_core::event::Tier;
use cache_core::model::as_of::AsOf;
use cache_core::model::position::Position;
use cache_core::random::{Random, SystemRandom};
use cache_core::testkit::until::pace;
use futures_util::StreamExt;
use parking_lot::Mutex;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{RedisError, RedisResult, Script};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The controls, by name.
pub(crate) const CONTROLS: [&str; 3] = ["naive", "lease-only", "marks-only"];

/// Where a control's L1s are told what to drop.
const SUBJECT: &str = "control.bus";
/// KEYS: value, lease, mark. ARGV: token. Answers value and mark; takes the lease.
const LOOK: &str = "local v = redis.call('GET', KEYS[1]) \
    if not v then redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', 10000) end \
    return {v or '', redis.call('GET', KEYS[3]) or '0'}";
/// ARGV: control, value, token, as-of. Answers whether it was stored.
const FILL: &str = "if ARGV[1] == 'lease-only' and redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end \
    if ARGV[1] == 'marks-only' and tonumber(ARGV[4]) < tonumber(redis.call('GET', KEYS[3]) or '0') then return 0 end \
    redis.call('SET', KEYS[1], ARGV[2], 'PX', 300000) redis.call('DEL', KEYS[2]) return 1";
/// ARGV: position.
const INVALIDATE: &str = "redis.call('DEL', KEYS[1]) redis.call('DEL', KEYS[2]) \
    local m = math.max(tonumber(ARGV[1]), tonumber(redis.call('GET', KEYS[3]) or '0')) \
    redis.call('SET', KEYS[3], string.format('%d', m), 'PX', 600000) return 1";

/// A control in one process.
pub(crate) struct Control {
    name: String,
    redis: ClusterConnection,
    sources: Sources,
    l1: Mutex<HashMap<usize, u64>>,
}

impl Control {
    pub(crate) async fn open(places: &Places, name: &str, standby: &str) -> Arc<Self> {
        let control = Arc::new(Self {
            name: name.to_owned(),
            redis: connect(places).await,
            sources: Sources::connect(&places.postgres, Some(standby)).await,
            l1: Mutex::default(),
        });
        let client = async_nats::connect(&places.nats).await.expect("NATS is up");
        let mut ear = client.subscribe(SUBJECT).await.expect("NATS is up");
        let listening = control.clone();
        tokio::spawn(async move {
            while let Some(message) = ear.next().await {
                let row = std::str::from_utf8(&message.payload).map(str::parse);
                if let Ok(Ok(row)) = row {
                    listening.l1.lock().remove(&row);
                }
            }
        });
        control
    }

    pub(crate) async fn read(&self, row: usize) -> Result<(u64, Tier, Position), String> {
        let held = self.l1.lock().get(&row).copied();
        if let Some(version) = held {
            return Ok((version, Tier::L1, Position::ZERO));
        }
        let token = SystemRandom.next().to_string();
        let looked: RedisResult<(String, u64)> = self.run(LOOK, row, &[&token]).await;
        if let Ok((value, _)) = &looked
            && let Ok(version) = value.parse()
        {
            self.keep(row, version);
            return Ok((version, Tier::L2, Position::ZERO));
        }
        let loaded = self.sources.load_row(row as i64).await;
        let loaded = loaded.map_err(|error| error.to_string())?;
        let version = loaded.value.ok_or("the row is gone")?;
        let as_of = match (loaded.as_of, &looked) {
            (AsOf::Position(at), _) => at.offset,
            (_, Ok((_, mark))) => *mark,
            _ => return Ok((version, Tier::None, Position::ZERO)),
        };
        let (value, as_of) = (version.to_string(), as_of.to_string());
        let arguments = [&self.name, &value, &token, &as_of];
        if matches!(self.run(FILL, row, &arguments).await, Ok(1)) {
            self.keep(row, version);
        }
        Ok((version, Tier::None, Position::ZERO))
    }

    fn keep(&self, row: usize, version: u64) {
        if self.name == "naive" {
            self.l1.lock().insert(row, version);
        }
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        script: &str,
        row: usize,
        arguments: &[&String],
    ) -> RedisResult<T> {
        step(&self.redis, script, row, arguments).await
    }
}

/// The invalidator of a control: L2, then the L1s, then the acknowledgement, as it
/// should be.
pub(crate) async fn carry(places: Places) {
    let redis = connect(&places).await;
    let client = async_nats::connect(&places.nats).await.expect("NATS is up");
    let context = jetstream::new(client.clone());
    let stream = context.get_stream("CDC").await.expect("the stream");
    let config = pull::Config {
        durable_name: Some("control".to_owned()),
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.expect("a consumer");
    let mut messages = consumer.messages().await.expect("NATS is up");
    while let Some(message) = messages.next().await {
        let Ok(message) = message else { continue };
        let event: serde_json::Value =
            serde_json::from_slice(&message.payload).expect("an event of ours");
        let row = event["payload"]["after"]["id"].as_u64().expect("a row") as usize;
        let place = message.info().expect("from a stream").stream_sequence;
        let place = place.to_string();
        while step::<u8>(&redis, INVALIDATE, row, &[&place])
            .await
            .is_err()
        {
            pace(Duration::from_millis(20)).await;
        }
        // What is lost here, an L1 of a usual cache never hears of.
        let _ = client.publish(SUBJECT, row.to_string().into()).await;
        let _ = message.ack_with(AckKind::Ack).await;
    }
}

async fn connect(places: &Places) -> ClusterConnection {
    let client = ClusterClient::builder(places.redis.clone())
        .response_timeout(Duration::from_millis(500))
        .build();
    let connected = client.expect("good addresses").get_async_connection().await;
    connected.expect("the cluster is up")
}

async fn step<T: redis::FromRedisValue>(
    redis: &ClusterConnection,
    script: &str,
    row: usize,
    arguments: &[&String],
) -> Result<T, RedisError> {
    let script = Script::new(script);
    let mut call = script.prepare_invoke();
    for part in ["value", "lease", "mark"] {
        call.key(format!("control:{{{row}}}:{part}"));
    }
    for argument in arguments {
        call.arg(argument);
    }
    call.invoke_async(&mut redis.clone()).await
}
