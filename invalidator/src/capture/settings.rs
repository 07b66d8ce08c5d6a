//! The file of a capture:
//!
//! ```toml
//! [postgres]
//! url = "postgres://capture@db.example:5432/shop"   # and more, see [`crate::at`]
//! slot = "cacheaside"
//! publication = "cacheaside"
//! create = false               # make what is missing of the two; nothing is altered
//! tables = ["public.users"]    # of a publication made here; ["*"]: all of the database
//! barrier = true               # an event waits until readers see its transaction
//! heartbeat = "10s"            # so often something is written into the log
//! confirm_after = "150s"       # how long the database keeps what the stream has already
//!
//! [events]
//! url = "nats://127.0.0.1:4222"   # and more, see [`cache_core::config::nats`]
//! stream = "CDC"
//! prefix = "cdc"               # subjects are cdc.<schema>.<table>
//! create_stream = false
//! keep = "7d"                  # how long a stream made here keeps events
//!
//! [admin]
//! address = "127.0.0.1:9466"   # /live /ready /metrics
//! ```

use crate::at::{At, POSTGRES};
use crate::config::{address, stream_name};
use crate::postgres::quoted;
use cache_core::bus::server::NatsAt;
use cache_core::config::nats;
use cache_core::config::overrides::Override;
use cache_core::config::reader::{self, Section};
use cache_core::config::report::Report;
use std::net::SocketAddr;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where changes come from.
    pub database: Database,
    /// Where they go.
    pub events: Events,
    /// Where the admin listener is: port 9466 on loopback by default.
    pub admin: SocketAddr,
}

/// Where changes come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    /// Where the database is; the role needs `REPLICATION`.
    pub at: At,
    /// The replication slot.
    pub slot: String,
    /// The publication.
    pub publication: String,
    /// Whether what is missing of the two is made.
    pub create: bool,
    /// The tables of a publication made here: `schema.table`, or `*` alone.
    pub tables: Vec<Table>,
    /// Whether an event waits until readers see its transaction: by default, because
    /// a cache that hears earlier loads the old row again.
    pub barrier: bool,
    /// How often something is written into the log, so that there is something to
    /// confirm: 10 s by default, which keeps a quiet database's log short.
    pub heartbeat: Duration,
    /// How long the database keeps what the stream has already: 150 s by default, more
    /// than the two minutes after which NATS syncs its disk.
    pub confirm_after: Duration,
}

/// Where changes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// The NATS with the stream.
    pub at: NatsAt,
    /// The stream.
    pub stream: String,
    /// What all subjects begin with; others should not write there.
    pub prefix: String,
    /// How long the stream keeps events, if it is to be made here.
    pub create: Option<Duration>,
}

/// A table, or all of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Table {
    /// All, also those that are made later.
    All,
    /// This one.
    Named {
        /// Its schema.
        schema: String,
        /// Its name.
        table: String,
    },
}

/// Reads the file; `file` is its name for people, `overrides` take the place of what it
/// says.
///
/// # Errors
/// Everything that is wrong with it at once.
pub fn settings(file: &str, text: &str, overrides: &[Override]) -> Result<Settings, Report> {
    reader::read_with(file, text, overrides, |file| {
        let database = file.section("postgres", database);
        let events = file.section("events", |section| events(section, "cdc"));
        let admin = admin(file);
        Some(Settings {
            database: database?,
            events: events?,
            admin: admin?,
        })
    })
}

fn database(section: &mut Section<'_>) -> Option<Database> {
    let at = At::parse_by_name(section, &POSTGRES);
    let slot = section.parsed_or("slot", "cacheaside", slot_name);
    let publication = section.parsed_or("publication", "cacheaside", publication_name);
    let create = section.bool_or("create", false);
    let tables = section.list("tables", table).unwrap_or_default();
    let barrier = section.bool_or("barrier", true);
    let heartbeat = section.duration_or("heartbeat", SECOND..=HOUR, 10 * SECOND);
    let confirm_after = section.duration_or("confirm_after", Duration::ZERO..=DAY, 150 * SECOND);
    if create && tables.is_empty() {
        let wrong = "`create` without `tables`: which should the publication have?";
        section.complain("create", wrong.to_owned());
    }
    if tables.len() > 1 && tables.contains(&Table::All) {
        let wrong = "`*` is all tables, and stands alone";
        section.complain("tables", wrong.to_owned());
    }
    Some(Database {
        at: at?,
        slot: slot?,
        publication: publication?,
        create,
        tables,
        barrier,
        heartbeat,
        confirm_after,
    })
}

/// Reads where the admin listener is.
pub(super) fn admin(file: &mut Section<'_>) -> Option<SocketAddr> {
    file.section("admin", |admin| {
        admin.parsed_or("address", "127.0.0.1:9466", address)
    })
}

/// Reads where events go; `usual` is the prefix by default.
pub(super) fn events(section: &mut Section<'_>, usual: &str) -> Option<Events> {
    let at = nats::required(section);
    let stream = section.parsed("stream", stream_name);
    let prefix = section.parsed_or("prefix", usual, prefix);
    let create = section.bool_or("create_stream", false);
    let keep = section.duration_or("keep", HOUR..=3650 * DAY, 7 * DAY);
    Some(Events {
        at: at?,
        stream: stream?,
        prefix: prefix?,
        create: create.then_some(keep),
    })
}

fn slot_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match (1..=63).contains(&text.len()) && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is no slot: 1 to 63 of a-z 0-9 _")),
    }
}

fn publication_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match (1..=63).contains(&text.len()) && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{text}` is no publication: 1 to 63 of A-Z a-z 0-9 _"
        )),
    }
}

/// Reads the name of a table, or `*`.
///
/// # Errors
/// When it is neither.
pub fn table(text: &str) -> Result<Table, String> {
    if text == "*" {
        return Ok(Table::All);
    }
    let part = |part: &str| (1..=63).contains(&part.len()) && !part.contains(['\0', '.']);
    match text.split_once('.') {
        Some((schema, table)) if part(schema) && part(table) => Ok(Table::Named {
            schema: schema.to_owned(),
            table: table.to_owned(),
        }),
        _ => Err(format!(
            "`{text}` is no table; write one like public.users, or *"
        )),
    }
}

fn prefix(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let token = |token: &str| !token.is_empty() && token.chars().all(fits);
    match text.len() <= 64 && text.split('.').all(token) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` begins no subject; write one like cdc")),
    }
}

impl Table {
    /// Its name, for SQL.
    pub fn quoted(&self) -> String {
        match self {
            Self::All => "*".to_owned(),
            Self::Named { schema, table } => quoted(schema, table),
        }
    }
}
