//! The examples for people, each with a real database: a row changes, and a cache serves
//! the new one.

mod mariadb;
mod outbox;
mod postgres;
mod wal2json;

use crate::world::{World, until};
use cache_core::config::overrides::Override;
use cache_core::event::Silent;
use cache_core::source::{Cause, Wanted};
use cache_core::{Cache, Role, connect, testkit};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio_postgres::Client;

/// How long the new row is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The table, and the row that changes.
const USERS: &str = "CREATE TABLE users (id bigint PRIMARY KEY, name text, email text); \
    INSERT INTO users VALUES (7, 'old', 'a@x')";
const CHANGE: &str = "UPDATE users SET name = 'new' WHERE id = 7";

/// The course of every example: the row 7 is cached, it changes, and the cache serves it
/// as it is.
async fn course<R>(
    world: &World,
    load: impl Fn(i64) -> R + Send + Sync + 'static,
    change: impl Future<Output = ()>,
) where
    R: Future<Output = Result<Option<String>, Cause>> + Send + 'static,
{
    let served = served_after(world, load, change, PATIENCE).await;
    assert_eq!(served, "new");
}

/// What the cache serves of the row 7 at the end; the new row is waited for so long.
async fn served_after<R>(
    world: &World,
    load: impl Fn(i64) -> R + Send + Sync + 'static,
    change: impl Future<Output = ()>,
    patience: Duration,
) -> String
where
    R: Future<Output = Result<Option<String>, Cause>> + Send + 'static,
{
    until("all is quiet", || world.all_done()).await;
    let domain = connect::open(&world.domain(), Role::Member, Arc::new(Silent)).await;
    let domain = domain.expect("the servers are up");
    let users = Cache::builder("users").open(&domain).expect("a cache");
    let loads = Arc::new(AtomicU64::new(0));
    let counted = loads.clone();
    let users = users.read_through(move |wanted: Wanted<String>| {
        counted.fetch_add(1, Relaxed);
        let id = wanted.text().trim_start_matches("user:").parse();
        let row = id.map(&load);
        async move { row?.await }
    });
    let served = async || {
        let got = users.get("user:7").await.expect("it answers");
        got.expect("the row is there").to_string()
    };
    let is_cached = async |name: &str| {
        let before = loads.load(Relaxed);
        served().await == name && before > 0 && loads.load(Relaxed) == before
    };
    until("the old row is cached", async || is_cached("old").await).await;
    change.await;
    let is_new = async || is_cached("new").await;
    // Whether it came is asked below, when nothing can follow.
    drop(testkit::until::until(patience, "the new row is cached", is_new).await);
    until("all is quiet", || world.all_done()).await;
    served().await
}

/// A row of Postgres, as a loader finds it.
async fn row(source: Arc<Client>, id: i64) -> Result<Option<String>, Cause> {
    let sql = "SELECT name FROM users WHERE id = $1";
    let row = source.query_opt(sql, &[&id]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// The statements of a file, each for itself: a slot cannot be made in a transaction that
/// has written.
fn statements(file: &str) -> impl Iterator<Item = &str> {
    let is_said = |line: &str| !line.trim().is_empty() && !line.starts_with("--");
    let each = file.split_inclusive(";\n");
    each.filter(move |statement| statement.lines().any(is_said))
}

/// What stands in place of the addresses in a capture's file.
fn here(table: &'static str, database: String, nats: String) -> [Override; 2] {
    [(table, database), ("events", nats)].map(|(table, url)| Override::text(table, "url", url))
}

/// Waits until the stream is there, with as many events.
async fn until_begun(world: &World, events: u64) {
    until("the stream has begun", async || {
        let stream = world.jetstream().await.get_stream("CDC").await;
        stream.is_ok_and(|stream| stream.cached_info().state.last_sequence >= events)
    })
    .await;
}
