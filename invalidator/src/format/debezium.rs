//! Debezium's envelope, as its server's JetStream sink writes it: with the schema
//! around it (the default) or without.
//!
//! What surprises in it:
//!
//! - With PostgreSQL's default replica identity `before` is `null` in an update and
//!   holds the primary key only in a delete.
//! - A large column that did not change is [`UNAVAILABLE`] instead of its value.
//! - A changed primary key comes as a delete and an insert.
//! - `TRUNCATE` is sent only if `skipped.operations` is set to `none`.
//! - `op` is `m` for a [logical message](super::message), which has no table.

use crate::change::{Change, Format, Malformed, Op, Parsed, Row, RowChange, TableName};
use crate::format::received::Reading;
use crate::format::{base64, message};
use serde_json::{Map, Value};

/// What Debezium writes for a large column that did not change.
pub const UNAVAILABLE: &str = "__debezium_unavailable_value";
/// The same in a column of bytes, which are written as base64.
pub const UNAVAILABLE_BYTES: &str = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";

type Object = Map<String, Value>;

/// Reads `event` if it has the shape of an envelope; `None` if it has not.
///
/// # Errors
/// What is wrong with the envelope, and its table if that much could be read.
pub fn parse(event: &Object, reading: &Reading) -> Option<Result<Parsed, Malformed>> {
    let nothing = |why| Some(Ok(parsed(Change::Nothing(why))));
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
        () => None,
    }
}

fn parse_envelope(envelope: &Object, reading: &Reading) -> Result<Parsed, Malformed> {
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
    let of_table = |wrong: Malformed| wrong.of_table(&table);
    let old = image(envelope, "before").map_err(of_table)?;
    let new = image(envelope, "after").map_err(of_table)?;
    if new.is_none() && matches!(op, Op::Insert | Op::Update | Op::Read) {
        let wrong = format!("`after` is missing from the {} of a row", op.word());
        return Err(of_table(Malformed::new(wrong)));
    }
    let change = Change::Row(RowChange {
        changed_ms: source.get("ts_ms").and_then(Value::as_u64),
        op,
        // A delete may carry a row of nulls as `after`; it says nothing.
        new: new.filter(|_| op != Op::Delete),
        old,
        table,
    });
    Ok(parsed(change))
}

/// A message that the application wrote into the database's log.
fn parse_message(envelope: &Object, reading: &Reading) -> Result<Parsed, Malformed> {
    let message = envelope.get("message").and_then(Value::as_object);
    let message = message.ok_or_else(|| Malformed::new("`message` must be an object"))?;
    let text = |key: &str| message.get(key).and_then(Value::as_str);
    let content = text("content").and_then(base64::decode);
    let committed = source_of(envelope).ok();
    let committed = committed.and_then(|source| source.get("ts_ms"));
    let prefix = text("prefix").unwrap_or_default();
    let committed = committed.and_then(Value::as_u64);
    let change = message::read(prefix, content.as_deref(), committed, reading);
    Ok(parsed(change))
}

fn source_of(envelope: &Object) -> Result<&Object, Malformed> {
    let source = envelope.get("source").and_then(Value::as_object);
    source.ok_or_else(|| Malformed::new("`source` must be an object"))
}

/// MySQL has databases where others have schemas, so its database takes that place.
fn table_of(source: &Object) -> Result<TableName, Malformed> {
    let text = |key: &str| match source.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let table = text("table").ok_or_else(|| Malformed::new("`source.table` must be a string"))?;
    match (text("schema"), text("db")) {
        (Some(schema), database) => Ok(TableName {
            database,
            schema,
            table,
        }),
        (None, Some(schema)) => Ok(TableName {
            database: None,
            schema,
            table,
        }),
        (None, None) => Err(Malformed::new(
            "`source` names neither a `schema` nor a `db`",
        )),
    }
}

fn image(envelope: &Object, key: &str) -> Result<Option<Row>, Malformed> {
    match envelope.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(cells)) => {
            let (unchanged, known): (Vec<_>, Object) = split_unchanged(cells);
            Ok(Some(Row::new(known, unchanged)))
        }
        Some(_) => Err(Malformed::new(format!("`{key}` must be an object or null"))),
    }
}

fn split_unchanged(cells: &Object) -> (Vec<String>, Object) {
    let mut unchanged = Vec::new();
    let mut known = Object::new();
    for (column, value) in cells {
        match value.as_str() {
            Some(UNAVAILABLE | UNAVAILABLE_BYTES) => unchanged.push(column.clone()),
            _ => {
                known.insert(column.clone(), value.clone());
            }
        }
    }
    (unchanged, known)
}

fn parsed(change: Change) -> Parsed {
    Parsed::one(Format::Debezium, change)
}
