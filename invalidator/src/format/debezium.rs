//! Debezium's envelope, as its server's JetStream sink writes it: with the schema
//! around it (the default) or without, from any of its connectors.
//!
//! What surprises in it:
//!
//! - With PostgreSQL's default replica identity `before` is `null` in an update and
//!   holds the primary key only in a delete.
//! - The key of a record is not sent; a delete of MongoDB has nothing else.
//! - A changed primary key comes as a delete and an insert.
//! - `TRUNCATE` is sent only if `skipped.operations` is set to `none`.
//! - `op` is `m` for a [logical message](super::message), which has no table.
//! - `source.lsn` is the change's own. That of its commit is nowhere: `sequence` begins
//!   with the last one before it.

use crate::change::{Change, Format, Malformed, Op, Parsed, Place, RowChange, TableName};
use crate::format::debezium_rows::rows;
use crate::format::fields::{Object, base64, number, opt_text, whole};
use crate::format::received::{Reading, Received};
use crate::format::{debezium_flat, message};
use serde_json::Value;

/// Reads `event` if it has the shape of an envelope, or of a flattened one; `None` if it
/// has not.
///
/// # Errors
/// What is wrong with the envelope, and its table if that much could be read.
pub fn parse(
    event: &Object,
    received: &Received<'_>,
    reading: &Reading,
) -> Option<Result<Parsed, Malformed>> {
    let nothing = |why| Some(Ok(Parsed::one(Format::Debezium, Change::Nothing(why))));
    let envelope = match (event.get("payload"), event.contains_key("schema")) {
        (Some(Value::Null), true) => return nothing("a tombstone"),
        (Some(Value::Object(payload)), _) => payload,
        _ => event,
    };
    if envelope.contains_key("op") {
        return Some(parse_envelope(envelope, reading));
    }
    // What Debezium sends beside changes, usually on subjects of its own.
    let has = |key: &str| envelope.contains_key(key);
    match () {
        () if has("ts_ms") && envelope.len() == 1 => nothing("a heartbeat"),
        () if has("ddl") && has("source") => nothing("a change of the schema"),
        () if has("status") && has("id") && has("event_count") => {
            nothing("the border of a transaction")
        }
        () => debezium_flat::parse(envelope, received, reading.format == Some(Format::Debezium)),
    }
}

/// Reads an envelope without the schema around it.
///
/// # Errors
/// As [`parse`].
pub fn parse_envelope(envelope: &Object, reading: &Reading) -> Result<Parsed, Malformed> {
    let op = match envelope.get("op").and_then(Value::as_str) {
        Some("c") => Op::Insert,
        Some("u") => Op::Update,
        Some("d") => Op::Delete,
        Some("t") => Op::Truncate,
        Some("r") => Op::Read,
        Some("m") => return parse_message(envelope, reading),
        // The table may be known for all that, so it is looked at first.
        _ => {
            let wrong = Malformed::new("`op` must be one of c, u, d, t, r and m");
            return Err(match source_of(envelope).and_then(table_of) {
                Ok(table) => wrong.of_table(&table),
                Err(_) => wrong,
            });
        }
    };
    let source = source_of(envelope)?;
    let table = table_of(source)?;
    let place = place_of(source);
    let (old, new) = rows(envelope, source, op).map_err(|wrong| wrong.of_table(&table))?;
    let change = RowChange {
        changed_ms: place.commit_ms(),
        op,
        old,
        new,
        table,
    };
    Ok(Parsed::row(Format::Debezium, whole(change, "after")?).at(place))
}

/// A message that the application wrote into the database's log.
fn parse_message(envelope: &Object, reading: &Reading) -> Result<Parsed, Malformed> {
    let message = envelope.get("message").and_then(Value::as_object);
    let message = message.ok_or_else(|| Malformed::new("`message` must be an object"))?;
    let content = opt_text(message, "content").and_then(base64);
    let place = source_of(envelope).map(place_of).unwrap_or_default();
    let prefix = opt_text(message, "prefix").unwrap_or_default();
    let change = message::read(prefix, content.as_deref(), place.commit_ms(), reading);
    Ok(Parsed::one(Format::Debezium, change).at(place))
}

fn source_of(envelope: &Object) -> Result<&Object, Malformed> {
    let source = envelope.get("source").and_then(Value::as_object);
    source.ok_or_else(|| Malformed::new("`source` must be an object"))
}

/// Most connectors tell milliseconds; newer ones tell them, microseconds and nanoseconds.
fn place_of(source: &Object) -> Place {
    let millis = || number(source, "ts_ms")?.checked_mul(1_000);
    Place {
        lsn: number(source, "lsn"),
        commit_us: number(source, "ts_us").or_else(millis),
        ..Place::default()
    }
}

/// Where others have schemas, MySQL has databases, MongoDB too, Vitess keyspaces, and
/// Spanner nothing; that takes the schema's place.
fn table_of(source: &Object) -> Result<TableName, Malformed> {
    let text = |key: &str| opt_text(source, key).map(str::to_owned);
    let table = text("table").or_else(|| text("collection"));
    let table = table.ok_or_else(|| Malformed::new("`source.table` must be a string"))?;
    let (database, schema) = match (text("schema"), text("keyspace"), text("db")) {
        (Some(schema), _, database) => (database, Some(schema)),
        (None, Some(keyspace), _) => (None, Some(keyspace)),
        (None, None, database) => (None, database.or_else(|| text("database_id"))),
    };
    let wrong = || Malformed::new("`source` names neither a `schema` nor a `db`");
    Ok(TableName {
        database,
        schema: schema.ok_or_else(wrong)?,
        table,
    })
}
