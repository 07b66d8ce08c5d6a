//! The changes of a real Postgres, in the stream.

use crate::database::{self, Database, Event, TABLES};
use cache_core::Kind;

const USERS: &str = "CREATE TABLE users (id bigint PRIMARY KEY, email text, bio text)";

fn targets(rules: &str, events: &[Event]) -> Vec<String> {
    let payloads = events.iter().map(|event| event.payload.as_slice());
    database::targets(rules, payloads)
}

/// Without the first, which says that the slot is new.
fn changes(events: Vec<Event>) -> Vec<Event> {
    assert_eq!(events[0].subject, "cdc.lost");
    events[1..].to_vec()
}

const BY_ID: &str = "[[rule]]\ntable = 'public.users'\ncache = 'users'\nkeys = ['user:{id}']\n";
const BY_EMAIL: &str =
    "[[rule]]\ntable = 'public.users'\ncache = 'users'\nkeys = ['email:{email}']\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_committed_change_comes_once_and_no_other() {
    let database = Database::start().await;
    database.run(USERS).await;
    let capture = database.capture(TABLES).await;
    database.until_taken(true).await;
    database
        .run("INSERT INTO users VALUES (1, 'a@x'), (2, 'b@x')")
        .await;
    database
        .run("BEGIN; INSERT INTO users VALUES (3, 'c@x'); ROLLBACK")
        .await;
    database
        .run("UPDATE users SET email = 'd@x' WHERE id = 1")
        .await;
    database.run("UPDATE users SET id = 4 WHERE id = 2").await;
    database.run("DELETE FROM users WHERE id = 1").await;
    let events = changes(database.settled().await);
    assert_eq!(
        targets(BY_ID, &events),
        ["user:1", "user:2", "user:1", "user:2", "user:4", "user:1"],
        "of a changed key the old and the new"
    );
    let ops: Vec<_> = events
        .iter()
        .map(|event| event.json()["op"].clone())
        .collect();
    assert_eq!(ops, ["insert", "insert", "update", "update", "delete"]);
    capture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_values_are_told_where_the_replica_identity_has_them_and_missed_loudly_elsewhere() {
    let database = Database::start().await;
    database.run(USERS).await;
    database
        .run("INSERT INTO users VALUES (1, 'a@x', NULL)")
        .await;
    let capture = database.capture(TABLES).await;
    database.until_taken(true).await;
    database.run("UPDATE users SET email = 'b@x'").await;
    let events = changes(database.settled().await);
    assert_eq!(targets(BY_EMAIL, &events), ["email:b@x", "#*", "!"]);
    let before = events.len();

    // Random, so that it is not compressed: 40 kB stay outside the row.
    let large = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 1250))";
    database
        .run("ALTER TABLE users REPLICA IDENTITY FULL")
        .await;
    database
        .run(&format!("UPDATE users SET bio = {large}"))
        .await;
    database.run("UPDATE users SET email = 'c@x'").await;
    database.run("DELETE FROM users").await;
    let events = changes(database.settled().await).split_off(before);
    assert_eq!(
        targets(BY_EMAIL, &events),
        ["email:b@x", "email:b@x", "email:c@x", "email:c@x"]
    );
    let update = events[1].json();
    assert_eq!(update["unchanged"], serde_json::json!(["bio"]));
    capture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncated_tables_partitions_and_messages_are_told() {
    let database = Database::start().await;
    database
        .run(
            "CREATE TABLE users (id bigint PRIMARY KEY) PARTITION BY RANGE (id);
             CREATE TABLE users_low PARTITION OF users FOR VALUES FROM (0) TO (100);
             CREATE TABLE users_high PARTITION OF users FOR VALUES FROM (100) TO (200)",
        )
        .await;
    let capture = database.capture(TABLES).await;
    database.until_taken(true).await;
    database.run("INSERT INTO users VALUES (7)").await;
    // From one partition into another: a delete and an insert.
    database.run("UPDATE users SET id = 107").await;
    let emit = |transactional: bool, prefix: &str| {
        let content = r#"{"cache": "users", "tags": ["team:1"]}"#;
        format!("SELECT pg_logical_emit_message({transactional}, '{prefix}', '{content}')")
    };
    database.run(&emit(false, "cacheaside")).await;
    database.run(&emit(true, "others")).await;
    let rolled_back = format!("BEGIN; {}; ROLLBACK", emit(true, "cacheaside"));
    database.run(&rolled_back).await;
    database.run("TRUNCATE users").await;
    let events = changes(database.settled().await);
    assert_eq!(
        targets(BY_ID, &events),
        ["user:7", "user:7", "user:107", "#team:1", "#*"]
    );
    capture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_where_the_stream_ends_without_a_gap_and_nothing_comes_twice() {
    let database = Database::start().await;
    database.run(USERS).await;
    let mut expected = Vec::new();
    for round in 0..4_u64 {
        let capture = database.capture(TABLES).await;
        let ids: Vec<_> = (1..=20).map(|id| round * 20 + id).collect();
        for few in ids.chunks(5) {
            let rows: Vec<_> = few.iter().map(|id| format!("({id})")).collect();
            let sql = format!("INSERT INTO users (id) VALUES {}", rows.join(", "));
            database.run(&sql).await;
        }
        expected.extend(ids.iter().map(|id| format!("user:{id}")));
        if round == 0 {
            // What is committed before there is a slot is no change.
            database.until_taken(true).await;
            database.settled().await;
            expected.clear();
        }
        // In the middle of whatever it does.
        capture.abort().await;
    }
    let capture = database.capture(TABLES).await;
    let mut told = targets(BY_ID, &changes(database.settled().await));
    let first = told
        .iter()
        .position(|key| key == "user:21")
        .expect("the second round");
    assert_eq!(told.split_off(first), expected);
    capture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_behind_what_others_wrote_on_its_subjects() {
    let database = Database::start().await;
    database.run(USERS).await;
    let capture = database.capture(TABLES).await;
    database.until_taken(true).await;
    database.run("INSERT INTO users (id) VALUES (1)").await;
    database.settled().await;
    capture.stop().await;
    // As a dead letter that is tried again.
    let jetstream = database.jetstream().await;
    for _ in 0..3 {
        let sent = jetstream.publish("cdc.public.users", "{}".into()).await;
        sent.expect("NATS is up").await.expect("it is stored");
    }
    database.run("INSERT INTO users (id) VALUES (2)").await;
    let capture = database.capture(TABLES).await;
    database.until_taken(true).await;
    let sent = jetstream.publish("cdc.public.users", "{}".into()).await;
    sent.expect("NATS is up").await.expect("it is stored");
    database.run("INSERT INTO users (id) VALUES (3)").await;
    let keys = |payloads: Vec<Vec<u8>>| {
        let payloads = payloads.iter().filter(|payload| *payload != b"{}");
        database::targets(BY_ID, payloads.map(Vec::as_slice))
    };
    let wanted = "user:3".to_owned();
    crate::world::until("the last one comes", async || {
        keys(database.payloads().await).contains(&wanted)
    })
    .await;
    let mut told = keys(database.payloads().await);
    told.retain(|target| target.starts_with("user:"));
    assert_eq!(told, ["user:1", "user:2", "user:3"], "each once");
    let losses = database.payloads().await;
    let losses = losses
        .iter()
        .filter(|payload| payload.starts_with(br#"{"cacheaside":1,"lost"#));
    assert_eq!(losses.count(), 1, "only the first beginning");
    capture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_may_have_been_missed_clears_every_cache() {
    let database = Database::start().await;
    database.run(USERS).await;
    let losses = async || {
        let events = database.settled().await;
        let lost = events.iter().filter(|event| event.subject == "cdc.lost");
        lost.map(|event| event.json()["lost"].to_string())
            .collect::<Vec<_>>()
    };
    let capture = database.capture(TABLES).await;
    database.until_taken(true).await;
    assert_eq!(losses().await.len(), 1, "the stream had no events");
    capture.stop().await;

    database.until_taken(false).await;
    database
        .run("SELECT pg_drop_replication_slot('cacheaside')")
        .await;
    database.run("INSERT INTO users (id) VALUES (1)").await;
    let capture = database.capture(TABLES).await;
    database.until_taken(true).await;
    let told = losses().await;
    assert!(told[1].contains("made anew"), "{told:?}");

    // Under a capture that runs: its next write is refused, and it looks again.
    let jetstream = database.jetstream().await;
    jetstream.delete_stream("CDC").await.expect("NATS is up");
    let told = losses().await;
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("no event of a capture"), "{told:?}");
    capture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_reads_and_another_stands_by() {
    let database = Database::start().await;
    database.run(USERS).await;
    let first = database.capture(TABLES).await;
    database.until_taken(true).await;
    let second = database.capture(TABLES).await;
    database.run("INSERT INTO users (id) VALUES (1)").await;
    database.settled().await;
    first.abort().await;
    database.run("INSERT INTO users (id) VALUES (2)").await;
    let events = changes(database.settled().await);
    assert_eq!(targets(BY_ID, &events), ["user:1", "user:2"]);
    assert!(!second.task.is_finished());
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_forgets_its_log_when_the_stream_has_had_it_for_some_time() {
    let database = Database::start().await;
    database.run(USERS).await;
    let kept = format!("{TABLES}heartbeat = '1s'\nconfirm_after = '1h'\n");
    let confirmed = async || {
        let sql = "SELECT confirmed_flush_lsn::text FROM pg_replication_slots";
        database.ask(sql).await
    };
    let capture = database.capture(&kept).await;
    database.until_taken(true).await;
    let first = confirmed().await;
    database.run("INSERT INTO users (id) VALUES (1)").await;
    database.settled().await;
    assert_eq!(confirmed().await, first, "not before its time");
    capture.stop().await;
    database.until_taken(false).await;

    let at_once = format!("{TABLES}heartbeat = '1s'\nconfirm_after = '0s'\n");
    let capture = database.capture(&at_once).await;
    // Nothing changes but the heartbeat.
    let end = database.ask("SELECT pg_current_wal_lsn()::text").await;
    let is_behind = "SELECT (confirmed_flush_lsn >= '";
    let sql = format!("{is_behind}{end}')::text FROM pg_replication_slots");
    crate::world::until("a quiet database forgets its log", async || {
        database.ask(&sql).await == "true"
    })
    .await;
    capture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_set_up_is_told_with_the_statement_that_mends_it() {
    let database = Database::start().await;
    database.run(USERS).await;
    let refused = async |settings: &str| {
        let ended = database
            .capture(settings)
            .await
            .task
            .await
            .expect("no panic");
        let error = ended.expect_err("it cannot run");
        assert_eq!(error.kind(), Kind::Mismatch, "{error}");
        error.to_string()
    };
    let without = "tables = ['public.users']\n";
    assert!(
        refused(without)
            .await
            .contains("CREATE PUBLICATION \"cacheaside\" FOR TABLE \"public\".\"users\"")
    );
    database
        .run("CREATE PUBLICATION cacheaside WITH (publish = 'insert')")
        .await;
    assert!(
        refused(without)
            .await
            .contains("SET (publish = 'insert, update, delete, truncate')")
    );
    database
        .run("ALTER PUBLICATION cacheaside SET (publish = 'insert, update, delete, truncate')")
        .await;
    assert!(
        refused(without)
            .await
            .contains("ADD TABLE \"public\".\"users\"")
    );
    database
        .run("ALTER PUBLICATION cacheaside ADD TABLE users")
        .await;
    assert!(
        refused(without)
            .await
            .contains("SELECT pg_create_logical_replication_slot")
    );
    database
        .run("SELECT pg_create_logical_replication_slot('cacheaside', 'test_decoding')")
        .await;
    assert!(refused(without).await.contains("not one of pgoutput"));
}
