//! Sequin's messages: `record`, `changes`, `action`, `metadata`.
//!
//! What surprises in them:
//!
//! - `changes` holds the old values of the changed columns, if the table has REPLICA
//!   IDENTITY FULL; otherwise it is empty, even where the primary key changed.
//! - The `record` of a delete is the deleted row. Without FULL it holds the primary key,
//!   and null for all other columns.
//! - A large column that did not change is [`UNCHANGED`].
//! - `read` is a row of a backfill: nothing changed.

use crate::change::{Doubt, Format, Malformed, Op, Parsed, Place, Row, RowChange, TableName};
use crate::format::fields::{Object, before, number, object, op, opt_text, text, whole};
use crate::format::received::{Reading, Received};
use crate::format::time::micros;
use serde_json::Value;

/// What stands in place of a large column that did not change.
pub const UNCHANGED: &str = "unchanged_toast";

const OPS: [(&str, Op); 4] = [
    ("insert", Op::Insert),
    ("update", Op::Update),
    ("delete", Op::Delete),
    ("read", Op::Read),
];

/// Reads `event` if it has the shape; `None` if it has not.
///
/// # Errors
/// What is wrong with it, and its table if that much could be read.
pub fn parse(event: &Object, _: &Received<'_>, _: &Reading) -> Option<Result<Parsed, Malformed>> {
    let has = |key: &str| event.contains_key(key);
    let metadata = event.get("metadata")?.as_object()?;
    (has("record") && has("action")).then(|| read(event, metadata))
}

fn read(event: &Object, metadata: &Object) -> Result<Parsed, Malformed> {
    let database = metadata.get("database").and_then(Value::as_object);
    let database = database
        .and_then(|of| opt_text(of, "database").or_else(|| opt_text(of, "name")))
        .or_else(|| opt_text(metadata, "database_name"));
    let table = TableName {
        database: database.map(str::to_owned),
        schema: text(metadata, "table_schema")?,
        table: text(metadata, "table_name")?,
    };
    let place = Place {
        commit_lsn: number(metadata, "commit_lsn"),
        index: number(metadata, "commit_idx"),
        lsn: None,
        commit_us: opt_text(metadata, "commit_timestamp").and_then(micros),
    };
    let change = row(event, &table, place);
    let change = change.map_err(|wrong| wrong.of_table(&table))?;
    Ok(Parsed::row(Format::Sequin, change).at(place))
}

fn row(event: &Object, table: &TableName, place: Place) -> Result<RowChange, Malformed> {
    let op = op(event, "action", &OPS)?;
    let record = object(event, "record")?;
    let changes = object(event, "changes")?.filter(|changes| !changes.is_empty());
    let (old, new) = match (op, record) {
        (Op::Delete, record) => (
            record.map(|row| Row::plain(row.clone()).doubting(Doubt::Nulls)),
            None,
        ),
        (Op::Update, Some(record)) => {
            let (known, unchanged) = split(record);
            let old = changes.map(|changes| Row::plain(before(&known, changes)));
            (old, Some(Row::new(known, unchanged)))
        }
        (_, record) => (None, record.map(|row| Row::plain(row.clone()))),
    };
    let change = RowChange {
        table: table.clone(),
        op,
        old,
        new,
        changed_ms: place.commit_ms(),
    };
    whole(change, "record")
}

fn split(record: &Object) -> (Object, Vec<String>) {
    let mut known = record.clone();
    known.retain(|_, value| value != UNCHANGED);
    let left = record.keys().filter(|column| !known.contains_key(*column));
    let unchanged = left.cloned().collect();
    (known, unchanged)
}
