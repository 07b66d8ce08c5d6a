//! The two files of an invalidator.
//!
//! **The rules file** says which events are read and what they invalidate. It is
//! the same everywhere, holds no address and no password, and is reviewed together
//! with the tables and the code that it talks about; `check` and `explain` need
//! nothing else:
//!
//! ```toml
//! [source]
//! stream = "CDC"
//! durable = "invalidator"      # the place in the stream that all instances share;
//!                              # another one begins the next epoch
//! format = "auto"              # or native, debezium, sequin, wal-listener, wal2json,
//!                              # pgstream, maxwell, canal, cockroachdb, cloudevents
//! filter = "cdc.public.>"      # only these subjects; default: all of the stream
//! create_stream = false        # make the stream if it is not there
//! subjects = ["cdc.>"]         # of a stream made here
//! keep = "7d"                  # how long a stream made here keeps events
//! epoch = 0                    # at least; raise it after the database was restored
//! batch = 256                  # events announced together
//! in_flight = 65536            # events without an answer at most
//! ack_wait = "5s"              # then another instance gets what this one had
//! attempts = 20                # deliveries before an event is given up
//! repeat_after = "1s"          # announces a second time, so much later; default: 1 s
//!                              # what may come before readers see it, and the rest not
//! landmarks = false            # tells how far the stream is in PostgreSQL's log, for those
//!                              # who read replicas; only if one capture alone writes it
//! outage = "24h"               # the longest outage in which no event may be lost
//! # then [[rule]] and [native]
//! ```
//!
//! **The service file** says where everything is. It differs from place to place:
//!
//! ```toml
//! [l2]
//! urls = ["redis://127.0.0.1:6379"]   # and more, see [`cache_core::config::access`]
//!
//! [bus]
//! url = "nats://127.0.0.1:4222"     # and more, see [`cache_core::config::nats`]
//!
//! [events]
//! url = "nats://127.0.0.1:4222"     # the NATS with the stream; default: the bus
//!
//! [dead_letters]
//! stream = "CACHEASIDE_DLQ"
//! keep = "14d"
//! size = "1GiB"
//!
//! [admin]
//! address = "127.0.0.1:9465"        # /live /ready /metrics
//!
//! [drain]
//! timeout = "20s"                   # to finish what is in flight at the end
//!
//! [inspector]
//! rate = 1000                       # invalidations looked at again, a second; 0: none
//! ```
//!
//! `[domain]`, `[l2]` and `[bus]` are read by [`cache_core::config::domain`], the
//! same for every service.

use crate::dead_letter::DeadLetterSettings;
use crate::format::received::FORMATS;
use crate::inspect::{InspectorSettings, RATE, RATE_MAX};
use crate::rules::Rules;
use crate::settings::{CreateSettings, Repeat, SourceSettings};
use cache_core::DomainSettings;
use cache_core::bus::server::NatsAt;
use cache_core::config::overrides::Override;
use cache_core::config::reader::{self, Section};
use cache_core::config::report::Report;
use cache_core::config::wrong::Wrong;
use cache_core::config::{domain, nats};
use cache_core::connect::{BusAt, RemoteAt};
use std::net::SocketAddr;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The rules file.
#[derive(Clone, Debug, PartialEq)]
pub struct RulesFile {
    /// Which events are read.
    pub source: SourceSettings,
    /// What they invalidate.
    pub rules: Rules,
}

/// The service file.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// How Redis and the bus are reached.
    pub domain: DomainSettings,
    /// The NATS that has the stream of events.
    pub events: NatsAt,
    /// Where dead letters go.
    pub letters: DeadLetterSettings,
    /// Where the admin listener is: port 9465 on loopback by default, because it
    /// tells everybody who asks how the service is.
    pub admin: SocketAddr,
    /// How long events in flight may take at the end: 20 s by default, within the
    /// 30 s that Kubernetes grants.
    pub drain: Duration,
    /// What is looked at again after it was announced: up to 1,000 a second by default,
    /// all that most systems change, for 3,000 reads of L2.
    pub inspector: InspectorSettings,
}

/// Reads a rules file; `file` is its name for people.
///
/// # Errors
/// Everything that is wrong with it at once.
pub fn rules(file: &str, text: &str) -> Result<RulesFile, Report> {
    reader::read(file, text, |file| {
        let source = file.section("source", |section| {
            let format = section.word_or("format", &FORMATS, None);
            Some((source(section)?, format))
        });
        let rules = Rules::parse(file);
        let ((source, format), mut rules) = (source?, rules?);
        rules.reading.format = format;
        Some(RulesFile { source, rules })
    })
}

/// Reads a service file; `overrides` take the place of what it says.
///
/// # Errors
/// Everything that is wrong with it at once.
pub fn service(file: &str, text: &str, overrides: &[Override]) -> Result<Service, Report> {
    reader::read_with(file, text, overrides, |file| {
        let domain = domain::settings(file);
        let events = file.section("events", |events| Some(nats::at(events)));
        let letters = file.section("dead_letters", letters);
        let admin = file.section("admin", |admin| {
            admin.parsed_or("address", "127.0.0.1:9465", address)
        });
        let drain = file.section("drain", |drain| {
            Some(drain.duration_or("timeout", SECOND..=600 * SECOND, 20 * SECOND))
        });
        let inspector = file.section("inspector", |inspector| {
            let rate = inspector.integer_or("rate", 0..=RATE_MAX, RATE);
            Some(InspectorSettings { rate })
        });
        let domain = domain?;
        let bus = match (&domain.remote, &domain.bus) {
            (RemoteAt::Redis { .. }, BusAt::Nats { at, .. }) => at.clone(),
            _ => {
                file.complain(
                    "l2",
                    "an invalidator of an L2 or a bus in memory would serve nobody".to_owned(),
                );
                return None;
            }
        };
        Some(Service {
            domain,
            events: events?.unwrap_or(bus),
            letters: letters?,
            admin: admin?,
            drain: drain?,
            inspector: inspector?,
        })
    })
}

fn source(section: &mut Section<'_>) -> Option<SourceSettings> {
    let stream = section.parsed("stream", stream_name);
    let durable = section.parsed_or("durable", "invalidator", stream_name);
    let filter = section.opt_parsed("filter", subject);
    let epoch = section.integer_or("epoch", 0..=u32::MAX, 0);
    let create_stream = section.bool_or("create_stream", false);
    let subjects = section.list("subjects", subject).unwrap_or_default();
    let keep = section.duration_or("keep", HOUR..=3650 * DAY, 7 * DAY);
    let batch = section.integer_or("batch", 1..=4096u32, 256);
    let in_flight = section.integer_or("in_flight", 1..=1_000_000u32, 65_536);
    let ack_wait = section.duration_or("ack_wait", SECOND..=600 * SECOND, 5 * SECOND);
    let attempts = section.integer_or("attempts", 2..=1_000_000u32, 20);
    let is_asked_for = section.has("repeat_after");
    let after = section.duration_or("repeat_after", Duration::ZERO..=60 * SECOND, SECOND);
    let repeat = match is_asked_for {
        true => Repeat::All(after),
        false => Repeat::Early(after),
    };
    let landmarks = section.bool_or("landmarks", false);
    let outage = section.duration_or("outage", HOUR..=365 * DAY, DAY);
    if create_stream && !section.has("subjects") {
        section.complain(
            "create_stream",
            Wrong {
                message: "`create_stream` without `subjects`".to_owned(),
                hint: Some("add the subjects that the stream takes".to_owned()),
            },
        );
    }
    if !create_stream && section.has("subjects") {
        let wrong = "`subjects` without `create_stream = true`; `filter` chooses among them";
        section.complain("subjects", wrong.to_owned());
    }
    Some(SourceSettings {
        stream: stream?,
        durable: durable?,
        filter,
        epoch,
        create: create_stream.then_some(CreateSettings { subjects, keep }),
        batch: batch as usize,
        in_flight_max: in_flight as usize,
        ack_wait,
        attempts_max: u64::from(attempts),
        repeat,
        landmarks,
        outage,
    })
}

fn letters(section: &mut Section<'_>) -> Option<DeadLetterSettings> {
    let stream = section.parsed_or("stream", "CACHEASIDE_DLQ", stream_name);
    Some(DeadLetterSettings {
        stream: stream?,
        keep: section.duration_or("keep", HOUR..=3650 * DAY, 14 * DAY),
        bytes_max: section.bytes_or("size", 1 << 20..=1 << 40, 1 << 30),
    })
}

pub(crate) fn stream_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=128).contains(&text.len()) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{text}` is no name in NATS: 1 to 128 of A-Z a-z 0-9 _ -"
    ))
}

fn subject(text: &str) -> Result<String, String> {
    let token = |token: &str| !token.is_empty() && !token.contains(char::is_whitespace);
    if text.len() <= 256 && text.split('.').all(token) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{text}` is no subject; write one like cdc.public.users or cdc.>"
    ))
}

pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let parsed = text.parse();
    parsed.map_err(|_| format!("`{text}` is no address and port; write one like 127.0.0.1:9465"))
}
