//! The limits: what a plain client gets from JetStream, and what Redis takes of one.

use super::field::Field;
use super::process::cpu_seconds;
use super::table::Turn;
use super::{BATCH, batches};
use crate::reader::Places;
use async_nats::jetstream;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::Config;
use cache_core::model::position::Position;
use cache_core::tier::{Applied, Invalidate, Known, MARK_KEEP};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use invalidator::pipeline::BATCHES_MAX;
use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

/// What the invalidator lets be without an answer by default.
const UNANSWERED_MAX: i64 = 65_536;

/// Runs something in this process, and measures it.
async fn measured(events: u64, work: impl Future<Output = ()>) -> Turn {
    let (began, cpu) = (Instant::now(), cpu_seconds(std::process::id()));
    work.await;
    Turn {
        events,
        seconds: began.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds(std::process::id()) - cpu,
        peak_mib: None,
    }
}

/// Fetches every event and acknowledges it.
pub(crate) async fn jetstream(field: &mut Field, connections: usize) -> Turn {
    let durable = field.durable();
    let stream = field.stream().get_stream("CDC").await;
    let config = Config {
        durable_name: Some(durable.clone()),
        max_ack_pending: UNANSWERED_MAX,
        ..Config::default()
    };
    let made = stream.expect("it is there").create_consumer(config).await;
    made.expect("NATS takes it");
    let (nats, got) = (field.places().nats, AtomicU64::new(0));
    let (events, got) = (field.events, &got);
    let turn = measured(events, async {
        let all = (0..connections).map(|_| fetch_all(&nats, &durable, events, got));
        join_all(all).await;
        field.acknowledged(&durable).await;
    })
    .await;
    field.forget(&durable).await;
    turn
}

async fn fetch_all(nats: &str, durable: &str, events: u64, got: &AtomicU64) {
    let client = async_nats::connect(nats).await.expect("NATS is up");
    let context = jetstream::new(client.clone());
    let stream = context.get_stream("CDC").await.expect("it is there");
    let consumer: PullConsumer = stream.get_consumer(durable).await.expect("it is there");
    while got.load(Ordering::Relaxed) < events {
        let batch = consumer.fetch().max_messages(BATCH).messages().await;
        let mut batch = batch.expect("NATS is up");
        while let Some(message) = batch.next().await {
            message.expect("NATS is up").ack().await.expect("it is up");
            got.fetch_add(1, Ordering::Relaxed);
        }
    }
    client.flush().await.expect("NATS is up");
}

/// A connection to each primary.
pub(crate) async fn primaries(places: &Places) -> Vec<MultiplexedConnection> {
    let mut primaries = Vec::new();
    for url in &places.redis {
        let client = redis::Client::open(url.as_str()).expect("a good address");
        let connection = client.get_multiplexed_async_connection().await;
        let mut connection = connection.expect("it is up");
        let info: String = redis::cmd("INFO")
            .arg("replication")
            .query_async(&mut connection)
            .await
            .expect("it is up");
        if info.contains("role:master") {
            primaries.push(connection);
        }
    }
    primaries
}

/// Sets as many keys as there are events, in pipelines, all primaries at once.
pub(crate) async fn sets(field: &mut Field) -> Turn {
    field.empty_l2().await;
    let mut primaries = primaries(&field.places()).await;
    let count = primaries.len() as u64;
    let most = field.events.div_ceil(count);
    measured(field.events, async {
        let all = primaries.iter_mut().map(|primary| set_all(primary, most));
        join_all(all).await;
    })
    .await
}

async fn set_all(primary: &mut MultiplexedConnection, keys: u64) {
    let tag = own_tag(primary).await;
    for batch in batches(keys) {
        let mut pipe = redis::pipe();
        for key in batch {
            let name = format!("{{{tag}}}:row:{key}");
            let mark = format!("M{key:032x}");
            let keep = MARK_KEEP.as_millis() as u64;
            pipe.set(name, mark).arg("PX").arg(keep).ignore();
        }
        let done: RedisResult<()> = pipe.query_async(primary).await;
        done.expect("it is up");
    }
}

/// A hash tag of a slot that this node serves.
async fn own_tag(primary: &mut MultiplexedConnection) -> u64 {
    for tag in 0..1_000 {
        let asked: RedisResult<u64> = redis::cmd("EXISTS")
            .arg(format!("{{{tag}}}"))
            .query_async(primary)
            .await;
        if asked.is_ok() {
            return tag;
        }
    }
    panic!("a primary that serves nothing")
}

/// Has L2 take an invalidation for each event, as many batches at once as an invalidator.
pub(crate) async fn steps(field: &mut Field) -> Turn {
    field.empty_l2().await;
    let field = &*field;
    measured(field.events, async {
        stream::iter(batches(field.events))
            .for_each_concurrent(BATCHES_MAX, |batch| async {
                let batch = batch.map(|number| Invalidate {
                    address: field.address(number),
                    position: Some(Position::new(0, number, 0)),
                    known: Known::NOTHING,
                    keep: MARK_KEEP,
                });
                for answer in field.remote.apply(batch.collect()).await {
                    assert!(matches!(answer, Ok(Applied::Done { .. })), "{answer:?}");
                }
            })
            .await;
    })
    .await
}
