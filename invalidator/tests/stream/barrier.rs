//! The log tells of a commit before its row is visible, while a synchronous standby keeps
//! it waiting. Whoever loads the row then finds the old one.

use crate::database::{self, Database, Event, TABLES};
use crate::world::{World, until};
use cache_core::event::Silent;
use cache_core::source::{Cause, Wanted};
use cache_core::{Cache, Role, connect, testkit};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio_postgres::Client;

/// How long something that must not come is waited for.
const WINDOW: Duration = Duration::from_secs(3);

const RULES: &str = "[source]\nstream = 'CDC'\nfilter = 'cdc.>'\n\
    [[rule]]\ntable = 'public.users'\ncache = 'users'\nkeys = ['user:{id}']\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_event_is_harmless_behind_the_barrier() {
    let (early, cached) = update_behind_a_stalled_standby("", RULES).await;
    assert!(!early, "the event waited for its row");
    assert_eq!(cached, "new");
}

/// The control: what the barrier is for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_event_is_harmful_without_the_barrier() {
    let (early, cached) = update_behind_a_stalled_standby("barrier = false\n", RULES).await;
    assert!(early, "the event came before its row was visible");
    assert_eq!(cached, "old", "and nothing will ever correct it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_event_is_harmless_where_it_is_told_a_second_time() {
    let rules = RULES.replacen("\n", "\nrepeat_after = '5s'\n", 1);
    let (early, cached) = update_behind_a_stalled_standby("barrier = false\n", &rules).await;
    assert!(early, "the event came before its row was visible");
    assert_eq!(cached, "new", "the second time found it visible");
}

/// Whether the event came while the row was not visible, and what a cache serves after all
/// is done.
async fn update_behind_a_stalled_standby(barrier: &str, rules: &str) -> (bool, &'static str) {
    let world = World::start().await;
    let database = Database::with_a_user_beside(&world.nats.url()).await;
    let capture = database.captured(&format!("{TABLES}{barrier}")).await;
    let invalidator = world.live(rules).await;
    until("all is quiet", || world.all_done()).await;

    stall(&database).await;
    let writer = database::connect(&database.postgres).await;
    let update = async move { writer.batch_execute("UPDATE users SET name = 'new'").await };
    let update = tokio::spawn(update);
    until("the update waits", async || waiting(&database).await == "2").await;
    let is_update = |event: &Event| event.subject == "cdc.public.users";
    let comes = async || database.events().await.iter().any(is_update);
    let early = testkit::until::until(WINDOW, "the event comes", comes)
        .await
        .is_ok();
    if early {
        until("it is applied", async || world.floor(7).await > (0, 0)).await;
    }

    let domain = connect::open(&world.domain(), Role::Member, Arc::new(Silent)).await;
    let domain = domain.expect("the servers are up");
    let users = Cache::builder("users").open(&domain).expect("a cache");
    let loader = Arc::new(database::connect(&database.postgres).await);
    let loads = Arc::new(AtomicU64::new(0));
    let counted = loads.clone();
    let users = users.read_through(move |wanted| {
        counted.fetch_add(1, Relaxed);
        load(loader.clone(), wanted)
    });
    let served = async || {
        let got = users.get("user:7").await.expect("it answers");
        got.expect("the row is there").to_string()
    };
    until("the row is cached", async || {
        let before = loads.load(Relaxed);
        assert_eq!(served().await, "old", "nobody sees the other yet");
        before > 0 && loads.load(Relaxed) == before
    })
    .await;

    standby(&database, "").await;
    update.await.expect("no panic").expect("it is committed");
    database.settled().await;
    until("all is done, a second time too", || world.all_done()).await;
    let is_new = async || served().await == "new";
    let told = testkit::until::until(WINDOW, "the cache is told", is_new).await;
    invalidator.stop().await;
    capture.stop().await;
    match told {
        Ok(()) => (early, "new"),
        Err(_) => (early, "old"),
    }
}

/// Has commits wait for a standby that never answers. Sessions know of it before they
/// wait for it: so others commit, until one of them waits.
async fn stall(database: &Database) {
    standby(database, "nobody").await;
    let other = database::connect(&database.postgres).await;
    let commits = tokio::spawn(async move {
        let commit = "SELECT pg_logical_emit_message(true, 'other', '')";
        while other.batch_execute(commit).await.is_ok() {}
    });
    until("a commit waits", async || waiting(database).await == "1").await;
    commits.abort();
}

/// How many commits wait for a standby.
async fn waiting(database: &Database) -> String {
    let sql = "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    database.ask(sql).await
}

/// Has commits wait for this standby; for none with no name.
async fn standby(database: &Database, name: &str) {
    let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
    database.run(&set).await;
    database.run("SELECT pg_reload_conf()").await;
    until("the setting holds", async || {
        database.ask("SHOW synchronous_standby_names").await == name
    })
    .await;
}

async fn load(source: Arc<Client>, wanted: Wanted<String>) -> Result<Option<String>, Cause> {
    let id: i64 = wanted.text().trim_start_matches("user:").parse()?;
    let sql = "SELECT name FROM users WHERE id = $1";
    let row = source.query_opt(sql, &[&id]).await?;
    Ok(row.map(|row| row.get(0)))
}
