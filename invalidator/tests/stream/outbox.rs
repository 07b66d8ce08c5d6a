//! Changes out of a table that applications and triggers write into.

use crate::database::{Capturing, Database};
use crate::world::until;
use cache_core::config::reader;
use invalidator::capture::outbox::app;
use invalidator::capture::outbox::settings::settings;
use invalidator::capture::outbox::sql::sql;
use invalidator::capture::settings::table;
use invalidator::decide::decide;
use invalidator::format::received::Received;
use invalidator::rules::Rules;
use std::collections::HashMap;

const RULES: &str = "[[rule]]\ntable = 'public.users'\ncache = 'users'\n\
    keys = ['user:{id}', 'email:{email}']\n";

/// The database, with the table and the triggers.
async fn database() -> Database {
    let database = Database::start().await;
    database
        .run("CREATE TABLE users (id bigint PRIMARY KEY, email text)")
        .await;
    let statements = sql(&[table("public.users").expect("a table")]);
    database.run(&statements).await;
    // Nothing breaks if somebody does it again.
    database.run(&statements).await;
    database
}

async fn relay(database: &Database) -> Capturing {
    let text = format!(
        "[outbox]\nurl = '{}'\npoll = '10ms'\nbatch = 7\n\
         [events]\nurl = '{}'\nstream = 'CDC'\ncreate_stream = true\n",
        database.url(),
        database.nats(),
    );
    let settings = settings("outbox.toml", &text, &[]).expect("a good file");
    Capturing::start(|admin, stop| app::live(settings, admin, stop)).await
}

/// Waits until all was carried; how often each target was told.
async fn told(database: &Database) -> HashMap<String, u64> {
    let rows = "SELECT count(*)::text FROM cacheaside_outbox";
    until("all is carried", async || database.ask(rows).await == "0").await;
    let rules = reader::read("rules.toml", RULES, Rules::parse).expect("good rules");
    let mut told = HashMap::new();
    for payload in database.payloads().await {
        let decision = decide(&Received::bytes(&payload), &rules);
        assert_eq!(
            decision.letter,
            None,
            "{}",
            String::from_utf8_lossy(&payload)
        );
        for target in decision.targets {
            *told.entry(format!("{target}")).or_default() += 1;
        }
    }
    told
}

fn expected(keys: &[(&str, u64)]) -> HashMap<String, u64> {
    let keys = keys.iter().map(|(key, times)| ((*key).to_owned(), *times));
    keys.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trigger_tells_every_committed_change_with_its_old_row() {
    let database = database().await;
    let relay = relay(&database).await;
    database
        .run("INSERT INTO users VALUES (1, 'a@x'), (2, NULL)")
        .await;
    database
        .run("UPDATE users SET email = 'b@x' WHERE id = 1")
        .await;
    database.run("UPDATE users SET id = 3 WHERE id = 2").await;
    database.run("BEGIN; DELETE FROM users; ROLLBACK").await;
    database.run("DELETE FROM users WHERE id = 1").await;
    let told = told(&database).await;
    let keys = [
        ("users: key user:1", 3),
        ("users: key user:2", 2),
        ("users: key user:3", 1),
        ("users: key email:a@x", 2),
        ("users: key email:b@x", 2),
    ];
    assert_eq!(told, expected(&keys));
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_applications_write_and_truncated_tables_are_told() {
    let database = database().await;
    let relay = relay(&database).await;
    let insert = |event: &str| format!("INSERT INTO cacheaside_outbox (event) VALUES ({event})");
    let named = r#"'{"cache": "teams", "keys": ["team:3"]}'"#;
    database.run(&insert(named)).await;
    database
        .run(&format!("BEGIN; {}; ROLLBACK", insert(named)))
        .await;
    database.run("TRUNCATE users").await;
    // Larger than anything that NATS carries.
    let large = r#"jsonb_build_object('cache', 'teams', 'keys', repeat('x', 2000000))"#;
    database.run(&insert(large)).await;
    let told = told(&database).await;
    assert_eq!(
        told,
        expected(&[("teams: key team:3", 1), ("users: tag *", 2)])
    );
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_share_the_rows_and_whoever_dies_leaves_its_rows_to_the_others() {
    let database = database().await;
    let rows = 400;
    let insert = format!("INSERT INTO users SELECT n, NULL FROM generate_series(1, {rows}) n");
    database.run(&insert).await;
    let survivor = relay(&database).await;
    for _ in 0..3 {
        let other = relay(&database).await;
        let left = "SELECT (count(*) % 3 = 0)::text FROM cacheaside_outbox";
        until("some are carried", async || {
            database.ask(left).await == "true"
        })
        .await;
        other.abort().await;
    }
    let told = told(&database).await;
    for id in 1..=rows {
        // Stored and not deleted, it was carried again: the stream knows it by its id.
        assert_eq!(told.get(&format!("users: key user:{id}")), Some(&1), "{id}");
    }
    survivor.stop().await;
}
