//! The changes of a real MariaDB, in the stream.

use crate::database::{Capturing, targets};
use crate::world::until;
use async_nats::jetstream;
use cache_core::Kind;
use cache_core::testkit::servers::mariadb::MariadbServer;
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::until;
use invalidator::capture::mariadb::app;
use invalidator::capture::mariadb::settings::settings;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use std::time::Duration;

const RULES: &str = "[[rule]]\ntable = 'shop.users'\ncache = 'users'\n\
    keys = ['user:{id}', 'email:{email}']\n";

struct Database {
    server: MariadbServer,
    nats: NatsServer,
    conn: Conn,
}

impl Database {
    async fn start() -> Self {
        let (server, nats) = tokio::join!(MariadbServer::start(), NatsServer::start());
        let server = server.expect("a MariaDB");
        let mut database = Self {
            conn: connect(&server).await,
            server,
            nats: nats.expect("a NATS"),
        };
        database.run("CREATE DATABASE shop").await;
        database
            .run(
                "CREATE TABLE shop.users (id bigint unsigned PRIMARY KEY, \
                email varchar(100)) CHARACTER SET utf8mb4",
            )
            .await;
        database
    }

    async fn run(&mut self, sql: &str) {
        let ran = self.conn.query_drop(sql).await;
        ran.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    async fn capture(&self, more: &str) -> Capturing {
        let text = format!(
            "[mariadb]\nurl = '{}'\n{more}[events]\nurl = '{}'\nstream = 'CDC'\n\
             create_stream = true\n",
            self.server.url(),
            self.nats.url(),
        );
        let settings = settings("capture.toml", &text, &[]).expect("a good file");
        Capturing::start(|admin, stop| app::live(settings, admin, stop)).await
    }

    /// Waits until the stream has the first event: from there on, changes are told.
    async fn until_begun(&self) {
        until("it has begun", async || !self.events().await.is_empty()).await;
    }

    /// Changes a row that nobody else does, and waits until the stream has that; what
    /// came before it, without heartbeats and such rows.
    async fn settled(&mut self, marker: u64) -> Vec<(String, Vec<u8>)> {
        self.run("CREATE TABLE IF NOT EXISTS shop.markers (id int PRIMARY KEY)")
            .await;
        self.run(&format!("INSERT INTO shop.markers VALUES ({marker})"))
            .await;
        let of_markers = |subject: &str| subject == "cdc.shop.markers";
        until("the marker comes", async || {
            let events = self.events().await;
            let markers = events.iter().filter(|(subject, _)| of_markers(subject));
            markers.count() as u64 == marker
        })
        .await;
        let mut events = self.events().await;
        events.retain(|(subject, _)| subject != "cdc.beat" && !of_markers(subject));
        events
    }

    async fn events(&self) -> Vec<(String, Vec<u8>)> {
        let client = async_nats::connect(self.nats.url()).await;
        let jetstream = jetstream::new(client.expect("NATS is up"));
        let Ok(stream) = jetstream.get_stream("CDC").await else {
            return Vec::new();
        };
        let last = stream.cached_info().state.last_sequence;
        let mut events = Vec::new();
        for sequence in 1..=last {
            let message = stream.get_raw_message(sequence).await.expect("no gap");
            events.push((message.subject.to_string(), message.payload.to_vec()));
        }
        events
    }
}

async fn connect(server: &MariadbServer) -> Conn {
    let url = server.url().replace("mariadb://", "mysql://");
    let options = Opts::from_url(&url).expect("an address");
    Conn::new(options).await.expect("MariaDB is up")
}

fn told(events: &[(String, Vec<u8>)]) -> Vec<String> {
    targets(RULES, events.iter().map(|(_, payload)| payload.as_slice()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_committed_change_comes_once_with_its_old_row() {
    let mut database = Database::start().await;
    let capture = database.capture("tables = ['shop.*']\n").await;
    database.until_begun().await;
    let statements = [
        "INSERT INTO shop.users VALUES (18446744073709551615, 'ä@x'), (2, NULL)",
        "START TRANSACTION",
        "UPDATE shop.users SET email = 'b@x' WHERE id = 2",
        "UPDATE shop.users SET id = 3 WHERE id = 2",
        "COMMIT",
        "START TRANSACTION",
        "DELETE FROM shop.users",
        "ROLLBACK",
        "DELETE FROM shop.users WHERE id = 3",
        "FLUSH BINARY LOGS",
        "CREATE DATABASE other",
        "CREATE TABLE other.users (id int PRIMARY KEY)",
        "INSERT INTO other.users VALUES (1)",
        "TRUNCATE shop.users",
    ];
    for statement in statements {
        database.run(statement).await;
    }
    let events = database.settled(1).await;
    assert_eq!(events[0].0, "cdc.lost");
    assert_eq!(
        told(&events[1..]),
        [
            "user:18446744073709551615",
            "email:ä@x",
            "user:2",
            "user:2",
            "email:b@x",
            "user:2",
            "user:3",
            "email:b@x",
            "user:3",
            "email:b@x",
            "#*",
        ]
    );
    capture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_where_the_stream_ends_over_files_that_are_flushed() {
    let mut database = Database::start().await;
    let mut expected = Vec::new();
    for round in 0..4_u64 {
        let capture = database.capture("").await;
        database.until_begun().await;
        for few in 0..4_u64 {
            let ids: Vec<_> = (1..=5).map(|id| round * 20 + few * 5 + id).collect();
            let rows: Vec<_> = ids.iter().map(|id| format!("({id}, NULL)")).collect();
            let sql = format!("INSERT INTO shop.users VALUES {}", rows.join(", "));
            database.run(&sql).await;
            expected.extend(ids.iter().map(|id| format!("user:{id}")));
        }
        database.run("FLUSH BINARY LOGS").await;
        // In the middle of whatever it does.
        capture.abort().await;
    }
    let capture = database.capture("").await;
    let events = database.settled(1).await;
    assert_eq!(told(&events[1..]), expected);
    capture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_another_one_clears_every_cache() {
    let mut database = Database::start().await;
    let capture = database.capture("").await;
    database.until_begun().await;
    database.settled(1).await;
    capture.stop().await;
    // Files are told apart by the second in which they were begun.
    until("the second is over", async || {
        let uptime = "SELECT variable_value >= 2 FROM information_schema.global_status \
            WHERE variable_name = 'uptime'";
        let mut conn = connect(&database.server).await;
        conn.query_first(uptime).await.expect("it answers") == Some(1)
    })
    .await;
    // The same names of files, and places that were there before.
    database.run("RESET MASTER").await;
    database
        .run("INSERT INTO shop.users VALUES (1, 'a@x')")
        .await;
    database
        .run("INSERT INTO shop.users VALUES (2, 'a@x')")
        .await;
    for _ in 0..20 {
        database
            .run("UPDATE shop.users SET email = concat(email, 'x')")
            .await;
    }
    let capture = database.capture("").await;
    until("it is told", async || {
        let events = database.events().await;
        let lost = events.iter().filter(|(subject, _)| subject == "cdc.lost");
        lost.count() == 2
    })
    .await;
    // And from there it goes on.
    database.settled(2).await;
    capture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_set_up_is_told_how() {
    let mut database = Database::start().await;
    for (wrong, mend) in [
        (
            "SET GLOBAL binlog_format = 'MIXED'",
            "SET GLOBAL binlog_format = 'ROW'",
        ),
        (
            "SET GLOBAL binlog_row_image = 'MINIMAL'",
            "SET GLOBAL binlog_row_image = 'FULL'",
        ),
        (
            "SET GLOBAL binlog_row_metadata = 'MINIMAL'",
            "SET GLOBAL binlog_row_metadata = 'FULL'",
        ),
        (
            "SET GLOBAL log_bin_compress = ON",
            "SET GLOBAL log_bin_compress = OFF",
        ),
    ] {
        database.run(wrong).await;
        let ended = database.capture("").await.task.await.expect("no panic");
        let error = ended.expect_err("it cannot run");
        assert_eq!(error.kind(), Kind::Mismatch, "{error}");
        assert!(error.to_string().contains(mend), "{error}");
        database.run(mend).await;
    }
}

/// With a semi-synchronous replica that does not answer, the log tells of a commit that
/// nobody sees.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_event_waits_behind_the_barrier_and_comes_without_it() {
    for (settings, is_early) in [("barrier = false\n", true), ("", false)] {
        let mut database = Database::start().await;
        database
            .run("INSERT INTO shop.users VALUES (1, 'old')")
            .await;
        let capture = database.capture(settings).await;
        database.until_begun().await;
        for set in [
            "SET GLOBAL rpl_semi_sync_master_timeout = 600000",
            "SET GLOBAL rpl_semi_sync_master_wait_no_slave = ON",
            "SET GLOBAL rpl_semi_sync_master_wait_point = 'AFTER_SYNC'",
            "SET GLOBAL rpl_semi_sync_master_enabled = ON",
        ] {
            database.run(set).await;
        }
        let mut writer = connect(&database.server).await;
        let update = tokio::spawn(async move {
            writer
                .query_drop("UPDATE shop.users SET email = 'new'")
                .await
        });
        let comes = async || database.events().await.len() > 1;
        let window = Duration::from_secs(3);
        let came = until::until(window, "the event comes", comes).await.is_ok();
        let seen: Option<String> = database
            .conn
            .query_first("SELECT email FROM shop.users")
            .await
            .expect("it answers");
        assert_eq!(seen.as_deref(), Some("old"), "the update waits");
        assert_eq!(came, is_early);
        database
            .run("SET GLOBAL rpl_semi_sync_master_enabled = OFF")
            .await;
        update.await.expect("no panic").expect("it is committed");
        assert_eq!(
            told(&database.settled(1).await[1..]),
            ["user:1", "email:old", "email:new"]
        );
        capture.stop().await;
    }
}
