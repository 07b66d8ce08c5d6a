//! The file of an outbox.

use crate::at::{At, POSTGRES};
use crate::capture::settings::{Events, Table, admin, events, table};
use cache_core::config::overrides::Override;
use cache_core::config::reader::{self, Section};
use cache_core::config::report::Report;
use std::net::SocketAddr;
use std::time::Duration;

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The table.
    pub outbox: Outbox,
    /// Where events go.
    pub events: Events,
    /// Where the admin listener is: port 9466 on loopback by default.
    pub admin: SocketAddr,
}

/// Where events come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Outbox {
    /// Where the database is.
    pub at: At,
    /// The table, quoted for SQL.
    pub table: String,
    /// How many rows are carried together: 500 by default, a few milliseconds of work.
    pub batch: u32,
    /// The pause when there was no more: 100 ms by default, ten small queries a second.
    pub poll: Duration,
}

/// Reads the file; `file` is its name for people, `overrides` take the place of what it
/// says.
///
/// # Errors
/// Everything that is wrong with it at once.
pub fn settings(file: &str, text: &str, overrides: &[Override]) -> Result<Settings, Report> {
    reader::read_with(file, text, overrides, |file| {
        let outbox = file.section("outbox", outbox);
        let events = file.section("events", |section| events(section, "outbox"));
        let admin = admin(file);
        Some(Settings {
            outbox: outbox?,
            events: events?,
            admin: admin?,
        })
    })
}

fn outbox(section: &mut Section<'_>) -> Option<Outbox> {
    let at = At::parse(section, &POSTGRES);
    let named = section.parsed_or("table", "public.cacheaside_outbox", |text| {
        match table(text)? {
            Table::All => Err("an outbox is one table".to_owned()),
            named => Ok(named.quoted()),
        }
    });
    let batch = section.integer_or("batch", 1..=1_000u32, 500);
    let shortest = Duration::from_millis(1);
    let poll = section.duration_or("poll", shortest..=Duration::from_secs(60), 100 * shortest);
    Some(Outbox {
        at: at?,
        table: named?,
        batch,
        poll,
    })
}
