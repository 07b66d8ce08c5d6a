//! PostgreSQL with TLS: over both kinds of session, in every mode.

use super::{Case, at, certificates, every_mode, judged};
use crate::database::{Capturing, connect};
use crate::world::until;
use async_nats::jetstream;
use cache_core::testkit::certificates::{Certificates, Guard};
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::postgres::PostgresServer;
use invalidator::at::POSTGRES;
use invalidator::capture::outbox::{self, sql::sql};
use invalidator::capture::session::Session;
use invalidator::capture::settings::table;
use invalidator::capture::{app, settings};
use std::process::Stdio;
use tokio::process::Command;

async fn started(guard: &Guard) -> PostgresServer {
    let server = PostgresServer::start_tls(guard).await.expect("a Postgres");
    let owner = connect(&server).await;
    let made = owner.batch_execute("CREATE ROLE secured SUPERUSER LOGIN REPLICATION");
    made.await.expect("it makes roles");
    server
}

/// With all that this server asks for.
fn keys(server: &PostgresServer, certificates: &Certificates) -> String {
    format!(
        "url = 'postgres://secured@localhost:{}/postgres'\ntls_ca = '{}'\n{}",
        server.port(),
        certificates.ca().display(),
        super::shown(&certificates.client()),
    )
}

async fn tried(server: &PostgresServer, cases: &[Case]) {
    for case in cases {
        let url = format!(
            "postgres://secured@{}:{}/postgres",
            case.host,
            server.port()
        );
        let at = at(&url, &case.keys, &POSTGRES);
        let connected = invalidator::postgres::connect(&at).await;
        judged(case, "SQL", connected.map(drop));
        let text = format!(
            "[postgres]\nurl = '{url}'\n{}[events]\nurl = 'nats://n'\nstream = 'S'\n",
            case.keys
        );
        let read = settings::settings("capture.toml", &text, &[]);
        if case.keys.contains("verify-ca") {
            let problems = read.expect_err("replication cannot").to_string();
            assert!(
                problems.contains("write `verify-full` and `tls_name`"),
                "{problems}"
            );
            continue;
        }
        let connected = Session::connect(&read.expect("a good file").database).await;
        judged(case, "replication", connected.map(drop));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_to_postgres_obeys_its_mode_of_tls() {
    every_mode(started, tried).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_capture_and_an_outbox_go_through_tls() {
    let certificates = certificates();
    let server = started(&certificates.asking()).await;
    let nats = NatsServer::start().await.expect("a NATS");
    let owner = connect(&server).await;
    let users = sql(&[table("public.users").expect("a table")]);
    let tables = format!("CREATE TABLE users (id bigint PRIMARY KEY, email text); {users}");
    owner.batch_execute(&tables).await.expect("it makes tables");
    let keys = keys(&server, &certificates);
    let events = |stream: &str| {
        format!(
            "[events]\nurl = '{}'\nstream = '{stream}'\nprefix = '{}'\ncreate_stream = true\n",
            nats.url(),
            stream.to_lowercase()
        )
    };
    let captured = format!(
        "[postgres]\n{keys}create = true\ntables = ['public.users']\n{}",
        events("CDC")
    );
    let carried = format!("[outbox]\n{keys}{}", events("OUT"));
    let of_capture = settings::settings("capture.toml", &captured, &[]).expect("a good file");
    let of_outbox = outbox::settings::settings("outbox.toml", &carried, &[]).expect("a good file");
    let capture = Capturing::start(|admin, stop| app::live(of_capture, admin, stop)).await;
    let relay = Capturing::start(|admin, stop| outbox::app::live(of_outbox, admin, stop)).await;
    let client = async_nats::connect(nats.url()).await.expect("NATS is up");
    let jetstream = jetstream::new(client);
    let has = async |stream: &str, subject: &str| {
        let Ok(stream) = jetstream.get_stream(stream).await else {
            return false;
        };
        stream
            .get_last_raw_message_by_subject(subject)
            .await
            .is_ok()
    };
    until("the capture has begun", async || has("CDC", "cdc.>").await).await;
    let row = "INSERT INTO users VALUES (7, 'seven@example.org')";
    owner.batch_execute(row).await.expect("it takes rows");
    until("both tell of it", async || {
        has("CDC", "cdc.public.users").await && has("OUT", "out.event").await
    })
    .await;
    capture.stop().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_takes_the_tls_of_the_file_of_a_capture() {
    let certificates = certificates();
    let server = started(&certificates.asking()).await;
    let owner = connect(&server).await;
    let table = "CREATE TABLE users (id bigint PRIMARY KEY); \
        CREATE PUBLICATION all_of_it FOR TABLE users";
    owner.batch_execute(table).await.expect("it makes tables");
    let captured = format!(
        "[postgres]\n{}[events]\nurl = 'nats://n'\nstream = 'CDC'\n",
        keys(&server, &certificates)
    );
    let folder = tempfile::TempDir::new().expect("a folder");
    let (file, rules) = (
        folder.path().join("capture.toml"),
        folder.path().join("rules.toml"),
    );
    std::fs::write(&file, &captured).expect("it is writable");
    let text = "[source]\nstream = 'CDC'\n[[rule]]\ntable = 'public.users'\ncache = 'users'\nkeys = ['user:{id}']\n";
    std::fs::write(&rules, text).expect("it is writable");
    let checked = async |db: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_invalidator"));
        command
            .arg("check")
            .arg(&rules)
            .args(["--db", db])
            .stdin(Stdio::null());
        command.output().await.expect("it runs")
    };
    let done = checked(&file.display().to_string()).await;
    assert!(done.status.success(), "{done:?}");
    let url = format!("postgres://secured@localhost:{}/postgres", server.port());
    assert!(
        !checked(&url).await.status.success(),
        "without TLS it is not let in"
    );
}
