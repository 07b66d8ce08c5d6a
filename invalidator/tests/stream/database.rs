//! One Postgres and one NATS, with captures between them in this process.

use crate::world::until;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::{self, Context};
use cache_core::Error;
use cache_core::config::reader;
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::postgres::PostgresServer;
use cache_core::wire::invalidation::Target;
use invalidator::capture::app;
use invalidator::capture::journal::PLACE;
use invalidator::capture::place::Place;
use invalidator::capture::settings::settings;
use invalidator::decide::decide;
use invalidator::format::received::Received;
use invalidator::rules::Rules;
use serde_json::Value;
use std::net::Ipv4Addr;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};
use tokio_util::sync::CancellationToken;

/// What most of these tests capture.
pub(crate) const TABLES: &str = "create = true\ntables = ['*']\n";

/// What the keys of markers begin with.
const MARKER: &str = "marker:";

/// The servers, and a connection that changes rows.
pub(crate) struct Database {
    pub(crate) postgres: PostgresServer,
    pub(crate) client: Client,
    nats: String,
    _nats: Option<NatsServer>,
}

/// An event as the stream has it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) subject: String,
    pub(crate) place: Place,
    pub(crate) payload: Vec<u8>,
}

/// A capture that runs.
pub(crate) struct Capturing {
    pub(crate) task: JoinHandle<Result<(), Error>>,
    stop: CancellationToken,
}

impl Database {
    pub(crate) async fn start() -> Self {
        let nats = NatsServer::start().await.expect("a NATS");
        let url = nats.url();
        Self {
            _nats: Some(nats),
            ..Self::beside(&url).await
        }
    }

    /// Starts only the database; the NATS is there.
    pub(crate) async fn beside(nats: &str) -> Self {
        let postgres = PostgresServer::start().await.expect("a Postgres");
        Self {
            client: connect(&postgres).await,
            postgres,
            nats: nats.to_owned(),
            _nats: None,
        }
    }

    pub(crate) async fn run(&self, sql: &str) {
        let ran = self.client.batch_execute(sql).await;
        ran.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The first column of the first row.
    pub(crate) async fn ask(&self, sql: &str) -> String {
        let row = self.client.query_one(sql, &[]).await;
        row.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
            .get(0)
    }

    /// The same, with the row 7 of `users`, called `old`.
    pub(crate) async fn with_a_user_beside(nats: &str) -> Self {
        let database = Self::beside(nats).await;
        database
            .run("CREATE TABLE users (id bigint PRIMARY KEY, name text)")
            .await;
        database.run("INSERT INTO users VALUES (7, 'old')").await;
        database
    }

    /// Starts a capture, and waits until it reads the log and has written something.
    pub(crate) async fn captured(&self, of_database: &str) -> Capturing {
        let capture = self.capture(of_database).await;
        self.until_taken(true).await;
        until("the stream is there", async || {
            !self.events().await.is_empty()
        })
        .await;
        capture
    }

    /// Starts a capture with these settings of the database.
    pub(crate) async fn capture(&self, of_database: &str) -> Capturing {
        let text = format!(
            "[postgres]\nurl = '{}'\n{of_database}\
             [events]\nurl = '{}'\nstream = 'CDC'\ncreate_stream = true\n",
            self.url(),
            self.nats,
        );
        let settings = settings("capture.toml", &text, &[]).expect("a good file");
        Capturing::start(|admin, stop| app::live(settings, admin, stop)).await
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        let port = self.postgres.port();
        format!("postgres://postgres@127.0.0.1:{port}/postgres")
    }

    /// The address of the NATS.
    pub(crate) fn nats(&self) -> &str {
        &self.nats
    }

    pub(crate) async fn jetstream(&self) -> Context {
        let client = async_nats::connect(self.nats.as_str()).await;
        jetstream::new(client.expect("NATS is up"))
    }

    /// All events but heartbeats, oldest first; none if there is no stream yet.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for message in self.messages().await {
            let place = message.headers.get(PLACE).expect("its place").as_str();
            events.push(Event {
                subject: message.subject.to_string(),
                place: place.parse().expect("a place"),
                payload: message.payload.to_vec(),
            });
        }
        assert!(
            events.is_sorted_by_key(|event| event.place),
            "in commit order"
        );
        events.retain(|event| event.subject != "cdc.beat");
        events
    }

    /// What all events say, oldest first.
    pub(crate) async fn payloads(&self) -> Vec<Vec<u8>> {
        let messages = self.messages().await.into_iter();
        messages.map(|message| message.payload.to_vec()).collect()
    }

    async fn messages(&self) -> Vec<StreamMessage> {
        let Ok(stream) = self.jetstream().await.get_stream("CDC").await else {
            return Vec::new();
        };
        let state = &stream.cached_info().state;
        let mut messages = Vec::new();
        for sequence in state.first_sequence.max(1)..=state.last_sequence {
            messages.push(stream.get_raw_message(sequence).await.expect("no gap"));
        }
        messages
    }

    /// Commits a marker, waits until the stream has it, and returns what came before it.
    pub(crate) async fn settled(&self) -> Vec<Event> {
        let end = self.ask("SELECT pg_current_wal_insert_lsn()::text").await;
        let marker = format!("{MARKER}{end}");
        let content = serde_json::json!({ "cache": "users", "keys": [marker] });
        let sql = format!("SELECT pg_logical_emit_message(true, 'cacheaside', '{content}')");
        self.run(&sql).await;
        let is_marker = |event: &Event| event.json()["keys"][0] == marker;
        until("the marker comes", async || {
            self.events().await.iter().any(is_marker)
        })
        .await;
        let mut events = self.events().await;
        let is_any = |event: &Event| {
            let key = event.json()["keys"][0].as_str().map(str::to_owned);
            key.is_some_and(|key| key.starts_with(MARKER))
        };
        events.retain(|event| !is_any(event));
        events
    }

    /// Waits until a capture reads from the slot, or none does.
    pub(crate) async fn until_taken(&self, is_taken: bool) {
        // A slot is active while it is made, too.
        let sql = "SELECT count(*)::text FROM pg_replication_slots JOIN pg_stat_replication \
            ON pid = active_pid AND state IN ('catchup', 'streaming')";
        until("the slot is taken or free", async || {
            (self.ask(sql).await == "1") == is_taken
        })
        .await;
    }
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).expect("JSON")
    }
}

impl Capturing {
    /// Starts what `live` makes of an admin listener.
    pub(crate) async fn start<L>(live: impl FnOnce(TcpListener, CancellationToken) -> L) -> Self
    where
        L: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let admin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let stop = CancellationToken::new();
        Self {
            task: tokio::spawn(live(admin.expect("a port"), stop.clone())),
            stop,
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic").expect("no error");
    }

    /// Ends it without a word.
    pub(crate) async fn abort(self) {
        self.task.abort();
        assert!(self.task.await.is_err());
    }
}

pub(crate) async fn connect(postgres: &PostgresServer) -> Client {
    connect_as(postgres, "postgres").await
}

/// Connects as this role.
pub(crate) async fn connect_as(postgres: &PostgresServer, role: &str) -> Client {
    let at = format!("{} user={role}", postgres.connect_string());
    let connected = tokio_postgres::connect(&at, NoTls).await;
    let (client, connection) = connected.expect("Postgres is up");
    tokio::spawn(connection);
    client
}

/// What rules make of events: keys, tags as `#tag`, and `!` for a dead letter.
pub(crate) fn targets<'e>(rules: &str, payloads: impl Iterator<Item = &'e [u8]>) -> Vec<String> {
    let rules = reader::read("rules.toml", rules, Rules::parse).expect("good rules");
    let all = payloads.flat_map(|payload| {
        let decision = decide(&Received::bytes(payload), &rules);
        let letter = decision.letter.map(|_| "!".to_owned());
        let targets = decision.targets.into_iter().map(|target| match target {
            Target::Key { key, .. } => String::from_utf8(key.to_vec()).expect("a text"),
            Target::Tag { tag, .. } => format!("#{}", tag.as_str()),
            Target::Bucket(bucket) => panic!("{bucket:?}"),
        });
        targets.chain(letter).collect::<Vec<_>>()
    });
    all.collect()
}
