//! The output of the plugin wal2json, in both of its versions.
//!
//! Version 2 is an object for each change, with `action`, `columns` and `identity`;
//! version 1 is one for each transaction, with a list `change`. What surprises in them:
//!
//! - `identity` (or `oldkeys`) is the old row with REPLICA IDENTITY FULL, and otherwise
//!   the primary key as it was.
//! - A large column that did not change is left out.
//! - `lsn` is the change's; version 1 has the end of the commit's record as `nextlsn`.
//! - Version 1 says nothing of a TRUNCATE: the transaction looks empty.
//! - `M` is a [logical message](super::message), with its content as plain text.

use crate::change::{Change, Format, Malformed, Op, Parsed, Place, Row, RowChange, TableName};
use crate::format::fields::{Object, either, list, lsn, object, op, opt_text, text, whole};
use crate::format::message;
use crate::format::received::{Reading, Received};
use crate::format::time::micros;
use serde_json::Value;

const ACTIONS: [(&str, Op); 4] = [
    ("I", Op::Insert),
    ("U", Op::Update),
    ("D", Op::Delete),
    ("T", Op::Truncate),
];
const KINDS: [(&str, Op); 4] = [
    ("insert", Op::Insert),
    ("update", Op::Update),
    ("delete", Op::Delete),
    ("truncate", Op::Truncate),
];

/// Reads `event` if it has the shape of either version; `None` if it has not.
///
/// # Errors
/// What is wrong with it, and its table if that much could be read.
pub fn parse(
    event: &Object,
    _: &Received<'_>,
    reading: &Reading,
) -> Option<Result<Parsed, Malformed>> {
    if let Some(Value::Array(changes)) = event.get("change") {
        return Some(Ok(transaction(event, changes, reading)));
    }
    let action = opt_text(event, "action")?;
    (action.len() == 1).then(|| change(event, Format::Wal2Json, reading))
}

/// Reads one change of version 2, or of another `format` with the same fields.
///
/// # Errors
/// As [`parse`].
pub fn change(event: &Object, format: Format, reading: &Reading) -> Result<Parsed, Malformed> {
    let place = Place {
        lsn: lsn(event, "lsn"),
        commit_us: opt_text(event, "timestamp").and_then(micros),
        ..Place::default()
    };
    let change = match opt_text(event, "action") {
        Some("M") => message_of(event, place, reading),
        Some("B" | "C") => Change::Nothing("the border of a transaction"),
        _ => {
            let table = table_of(event)?;
            let change = row(event, &table, place);
            Change::Row(change.map_err(|wrong| wrong.of_table(&table))?)
        }
    };
    Ok(Parsed::one(format, change).at(place))
}

fn row(event: &Object, table: &TableName, place: Place) -> Result<RowChange, Malformed> {
    let op = op(event, "action", &ACTIONS)?;
    let cells = |key: &str| {
        let columns = list(event, key)?.iter().map(column);
        columns.collect::<Option<Object>>().ok_or_else(|| {
            Malformed::new(format!("each of `{key}` must have a `name` and a `value`"))
        })
    };
    let rows = rows(cells("identity")?, cells("columns")?);
    whole(change_of(table, op, rows, place), "columns")
}

fn column(column: &Value) -> Option<(String, Value)> {
    let name = column.get("name")?.as_str()?.to_owned();
    Some((name, column.get("value")?.clone()))
}

/// The old and the new row. What the new one lacks of the old one did not change: every
/// column but a large one that is as it was stands in it.
fn rows(old: Object, new: Object) -> (Option<Row>, Option<Row>) {
    let left = old.keys().filter(|column| !new.contains_key(*column));
    let unchanged = left.cloned().collect();
    let old = (!old.is_empty()).then(|| Row::plain(old));
    let new = (!new.is_empty()).then(|| Row::new(new, unchanged));
    (old, new)
}

fn change_of(
    table: &TableName,
    op: Op,
    (old, new): (Option<Row>, Option<Row>),
    place: Place,
) -> RowChange {
    RowChange {
        table: table.clone(),
        op,
        old,
        new,
        changed_ms: place.commit_ms(),
    }
}

/// All changes of a transaction, as version 1 writes them.
fn transaction(event: &Object, changes: &[Value], reading: &Reading) -> Parsed {
    let place = Place {
        commit_lsn: lsn(event, "nextlsn"),
        commit_us: opt_text(event, "timestamp").and_then(micros),
        ..Place::default()
    };
    let changes = changes.iter().map(|change| match change {
        Value::Object(change) if opt_text(change, "kind") == Some("message") => {
            message_of(change, place, reading)
        }
        Value::Object(change) => either(old_row(change, place)),
        _ => Change::Malformed(Malformed::new("each of `change` must be an object")),
    });
    Parsed {
        format: Format::Wal2Json,
        changes: changes.collect(),
        place,
    }
}

fn old_row(change: &Object, place: Place) -> Result<RowChange, Malformed> {
    let table = table_of(change)?;
    let read = || {
        let op = op(change, "kind", &KINDS)?;
        let new = zipped(change, "columnnames", "columnvalues")?;
        let old = match object(change, "oldkeys")? {
            Some(keys) => zipped(keys, "keynames", "keyvalues")?,
            None => Object::new(),
        };
        whole(change_of(&table, op, rows(old, new), place), "columnnames")
    };
    read().map_err(|wrong| wrong.of_table(&table))
}

fn zipped(event: &Object, names: &str, values: &str) -> Result<Object, Malformed> {
    let (all, of) = (list(event, names)?, list(event, values)?);
    let wrong = || Malformed::new(format!("`{names}` and `{values}` do not fit together"));
    if all.len() != of.len() {
        return Err(wrong());
    }
    let cells = all.iter().zip(of);
    let cells = cells.map(|(name, value)| Some((name.as_str()?.to_owned(), value.clone())));
    cells.collect::<Option<_>>().ok_or_else(wrong)
}

fn message_of(event: &Object, place: Place, reading: &Reading) -> Change {
    let prefix = opt_text(event, "prefix").unwrap_or_default();
    let content = opt_text(event, "content").map(str::as_bytes);
    message::read(prefix, content, place.commit_ms(), reading)
}

fn table_of(event: &Object) -> Result<TableName, Malformed> {
    Ok(TableName {
        database: None,
        schema: text(event, "schema")?,
        table: text(event, "table")?,
    })
}
