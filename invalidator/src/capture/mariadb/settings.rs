//! The file of a capture of MariaDB.

use crate::at::{At, MARIADB};
use crate::capture::settings::{Events, admin, events};
use crate::pattern::TablePattern;
use cache_core::config::overrides::Override;
use cache_core::config::reader::{self, Section};
use cache_core::config::report::Report;
use std::net::SocketAddr;
use std::time::Duration;

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where changes come from.
    pub server: Server,
    /// Where they go.
    pub events: Events,
    /// Where the admin listener is: port 9466 on loopback by default.
    pub admin: SocketAddr,
}

/// Where changes come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Where the server is.
    pub at: At,
    /// The tables; all if there are none.
    pub tables: Vec<TablePattern>,
    /// The number by which the server knows its reader.
    pub server_id: u32,
    /// Whether an event waits until readers see its transaction: by default, because a
    /// cache that hears earlier loads the old row again.
    pub barrier: bool,
    /// How often an event says how far it came: every 10 s by default.
    pub heartbeat: Duration,
}

/// Reads the file; `file` is its name for people, `overrides` take the place of what it
/// says.
///
/// # Errors
/// Everything that is wrong with it at once.
pub fn settings(file: &str, text: &str, overrides: &[Override]) -> Result<Settings, Report> {
    reader::read_with(file, text, overrides, |file| {
        let server = file.section("mariadb", server);
        let events = file.section("events", |section| events(section, "cdc"));
        let admin = admin(file);
        Some(Settings {
            server: server?,
            events: events?,
            admin: admin?,
        })
    })
}

fn server(section: &mut Section<'_>) -> Option<Server> {
    let second = Duration::from_secs(1);
    let at = At::parse_by_name(section, &MARIADB);
    let tables = section
        .list("tables", TablePattern::new)
        .unwrap_or_default();
    let server_id = section.integer_or("server_id", 1..=u32::MAX, 4242);
    let barrier = section.bool_or("barrier", true);
    let heartbeat = section.duration_or("heartbeat", second..=3600 * second, 10 * second);
    Some(Server {
        at: at?,
        tables,
        server_id,
        barrier,
        heartbeat,
    })
}
