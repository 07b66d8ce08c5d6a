//! From Postgres, by wal2json and a bridge of one's own.

use super::{CHANGE, USERS, course, row, served_after, statements};
use crate::database::{self, Database};
use crate::world::{Running, World, until};
use async_nats::jetstream::Context;
use cache_core::source::Cause;
use cache_core::testkit::until::pace;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Client;

const SETUP: &str = include_str!("../../../examples/capture/wal2json/setup.sql");
const PEEK: &str = include_str!("../../../examples/capture/wal2json/peek.sql");
const ADVANCE: &str = include_str!("../../../examples/capture/wal2json/advance.sql");
const RULES: &str = include_str!("../../../examples/capture/wal2json/rules.toml");

/// The bridge: what the slot has goes into the stream, and only when the stream has stored
/// it may the database forget it. A crash in between tells changes twice, which is harmless.
async fn carry(database: &Client, stream: &Context) -> Result<(), Cause> {
    let rows = database.query(PEEK, &[]).await?;
    for row in &rows {
        let text: String = row.get("data");
        let event: Value = serde_json::from_str(&text)?;
        let subject = match (event["schema"].as_str(), event["table"].as_str()) {
            (Some(schema), Some(table)) => format!("cdc.{schema}.{table}"),
            _ if event["action"] == "M" => "cdc.message".to_owned(),
            _ => continue, // The borders of transactions.
        };
        stream.publish(subject, text.into()).await?.await?;
    }
    if let Some(last) = rows.last() {
        let stored: String = last.get("lsn");
        database.execute(ADVANCE, &[&stored]).await?;
    }
    Ok(())
}

async fn bridge(database: Client, stream: Context) {
    loop {
        carry(&database, &stream).await.expect("both are up");
        pace(Duration::from_millis(20)).await;
    }
}

async fn begin() -> (World, Database, Running) {
    let world = World::start().await;
    let database = Database::beside(&world.nats.url()).await;
    database.run(USERS).await;
    for statement in statements(SETUP) {
        database.run(statement).await;
    }
    let invalidator = world.live(RULES).await;
    (world, database, invalidator)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_postgres_is_bridged_from_wal2json() {
    let (world, database, invalidator) = begin().await;
    let client = database::connect_as(&database.postgres, "bridge").await;
    let bridge = tokio::spawn(bridge(client, world.jetstream().await));
    let source = Arc::new(database::connect(&database.postgres).await);
    let load = move |id| row(source.clone(), id);
    course(&world, load, database.run(CHANGE)).await;
    let confirmed = "SELECT (confirmed_flush_lsn >= pg_current_wal_lsn())::text \
        FROM pg_replication_slots";
    until("the database is told that it may forget", async || {
        database.ask(confirmed).await == "true"
    })
    .await;
    bridge.abort();
    invalidator.stop().await;
}

/// The control: nothing else corrects the cache.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_bridge_the_old_row_is_served() {
    let (world, database, invalidator) = begin().await;
    let source = Arc::new(database::connect(&database.postgres).await);
    let load = move |id| row(source.clone(), id);
    let window = Duration::from_secs(2);
    let served = served_after(&world, load, database.run(CHANGE), window).await;
    assert_eq!(served, "old");
    invalidator.stop().await;
}
