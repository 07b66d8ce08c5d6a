//! Tells the formats of one object apart by its shape, so that one stream may carry
//! several.

use crate::change::{Format, Malformed, Parsed};
use crate::format::debezium_flat::is_marked;
use crate::format::fields::Object;
use crate::format::received::{Reading, Received};
use crate::format::{canal, cockroach, debezium, maxwell, native, pgstream, sequin};
use crate::format::{wal_listener, wal2json};

type Read = fn(&Object, &Received<'_>, &Reading) -> Option<Result<Parsed, Malformed>>;

/// The more telling shapes come first: a format whose fields others have too is asked
/// after those.
const READERS: [(Format, Read); 9] = [
    (Format::Native, native::read),
    (Format::Sequin, sequin::parse),
    (Format::WalListener, wal_listener::parse),
    (Format::Pgstream, pgstream::parse),
    (Format::Wal2Json, wal2json::parse),
    (Format::Canal, canal::parse),
    (Format::Maxwell, maxwell::parse),
    (Format::CockroachDb, cockroach::parse),
    (Format::Debezium, debezium::parse),
];

/// Reads an object in the one format that is asked for, or in the first one that it has
/// the shape of; `None` if there is none.
///
/// # Errors
/// What is wrong with it, and what is known of it nevertheless.
pub fn parse(
    event: &Object,
    received: &Received<'_>,
    reading: &Reading,
) -> Option<Result<Parsed, Malformed>> {
    let wanted = match reading.format {
        None if is_marked(event) => Some(Format::Debezium),
        wanted => wanted,
    };
    let mut asked = READERS
        .iter()
        .filter(|(format, _)| wanted.is_none_or(|wanted| wanted == *format));
    asked.find_map(|(_, read)| read(event, received, reading))
}
