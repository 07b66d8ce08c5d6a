//! What the stream holds, judged.

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use cache_core::model::key::{Address, KeySpace};
use cache_core::testkit::until::until_some;
use cache_core::tier::{Record, Remote};
use cache_core::{Key, Name};
use futures_util::StreamExt;
use invalidator::capture::journal::PLACE;
use invalidator::capture::place::{Lsn, Place};
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;
use tokio_postgres::Client;

/// All events of the stream.
#[derive(Debug)]
pub(crate) struct Log {
    /// How many there are.
    pub(crate) events: u64,
    /// How many of them are changes of rows.
    pub(crate) changes: u64,
    /// The place of the marker that was committed after all of them.
    pub(crate) last: Lsn,
    /// What is known of each row.
    rows: HashMap<i64, Row>,
}

#[derive(Debug)]
struct Row {
    /// Its version; 1 before any change.
    version: i64,
    is_gone: bool,
    /// The number of its last event.
    sequence: u64,
}

/// Commits a marker, waits until the stream has it, and reads all.
pub(crate) async fn settled(stream: &Context, client: &Client, patience: Duration) -> Log {
    let content = r#"{"cache": "users", "keys": ["marker"]}"#;
    let sql = format!("SELECT pg_logical_emit_message(true, 'cacheaside', '{content}')");
    client.batch_execute(&sql).await.expect("Postgres is up");
    let marker = async || {
        let stream = stream.get_stream("CDC").await.ok()?;
        let marker = stream.get_last_raw_message_by_subject("cdc.message").await;
        Some(marker.ok()?.sequence)
    };
    let end = until_some(patience, "the marker comes", marker).await;
    read(stream, end.expect("it comes")).await
}

async fn read(stream: &Context, end: u64) -> Log {
    let stream = stream.get_stream("CDC").await.expect("the stream is there");
    let consumer = stream.create_consumer(OrderedConfig::default()).await;
    let consumer = consumer.expect("NATS is up");
    let mut messages = consumer.messages().await.expect("NATS is up");
    let mut log = Log {
        events: 0,
        changes: 0,
        last: Lsn(0),
        rows: HashMap::new(),
    };
    let mut before = Place::default();
    while log.events < end {
        let message = messages.next().await.expect("it goes on");
        let message = message.expect("NATS is up");
        let sequence = message.info().expect("a delivery").stream_sequence;
        let headers = message.headers.as_ref().expect("headers");
        let place = headers.get(PLACE).expect("a place").as_str();
        let place: Place = place.parse().expect("a place");
        log.events += 1;
        assert_eq!(sequence, log.events, "numbers have no gap");
        assert!(place > before, "{place} came after {before}");
        before = place;
        if message.subject.as_str() == "cdc.public.users" {
            log.changes += 1;
            log.change(&message.payload, sequence);
        }
    }
    log.last = Lsn(before.lsn);
    log
}

impl Log {
    /// A row changes as it can: each version follows the one before.
    fn change(&mut self, event: &[u8], sequence: u64) {
        let event: Value = serde_json::from_slice(event).expect("JSON");
        let number = |image: &str, column: &str| -> Option<i64> {
            event[image][column].as_str()?.parse().ok()
        };
        let image = if event["op"] == "delete" {
            "old"
        } else {
            "new"
        };
        let id = number(image, "id").expect("an id");
        let row = self.rows.entry(id).or_insert(Row {
            version: 1,
            is_gone: false,
            sequence,
        });
        row.sequence = sequence;
        if event["op"] == "delete" {
            assert!(!row.is_gone, "user {id} went twice");
            row.is_gone = true;
            return;
        }
        let version = number("new", "version").expect("a version");
        assert_eq!(version, row.version + 1, "of user {id}");
        assert_eq!(event["op"] == "insert", row.is_gone, "user {id}");
        row.version = version;
        row.is_gone = false;
    }

    pub(crate) fn assert_is_the_history_of(&self, table: &[(i64, i64)]) {
        for (id, version) in table {
            let known = self.rows.get(id).map_or(1, |row| row.version);
            assert_eq!(known, *version, "of user {id}");
        }
        assert!(self.rows.values().all(|row| !row.is_gone));
    }

    /// Every row's key is refused below its last change; how many keys those are.
    pub(crate) async fn assert_is_refused_below(&self, remote: &dyn Remote) -> usize {
        for (id, row) in &self.rows {
            let key = format!("user:{id}");
            let reading = remote.read(&address(&key)).await.expect("Redis is up");
            let floor = match reading.record {
                Some(Record::Mark { floor }) => floor.offset,
                _ => 0,
            };
            let whole = reading.watermark.map_or(0, |held| held.floor.offset);
            assert!(
                floor.max(whole) >= row.sequence,
                "user {id}: {row:?}, {floor}"
            );
        }
        self.rows.len()
    }
}

fn address(key: &str) -> Address {
    let name = |text| Name::new(text).expect("a name");
    let space = KeySpace::new(name("main"), name("users"));
    space.address(Key::new(key.as_bytes()).expect("a key"))
}
