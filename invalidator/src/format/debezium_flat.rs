//! Debezium's rows without their envelope, as the transformation `ExtractNewRecordState`
//! leaves them: the new row alone, with what `add.fields` names as `__op`, `__table` …
//!
//! There is never an old row, so a template that needs one follows its rule's
//! `on_missing`. A deleted row comes only with the mode `rewrite`, as `__deleted`. Without
//! `__table` the table is what the subject ends with.

use crate::change::{Format, Malformed, Op, Parsed, Place, RowChange, TableName};
use crate::format::debezium_rows::row_of;
use crate::format::fields::{Object, number, op, opt_text, table_of_subject};
use crate::format::received::Received;
use serde_json::Value;

/// What no other row has. A flattened row may have columns of any other name.
const MARKS: [&str; 5] = [
    "__op",
    "__deleted",
    "__table",
    "__source_table",
    "__collection",
];
const OPS: [(&str, Op); 5] = [
    ("c", Op::Insert),
    ("u", Op::Update),
    ("d", Op::Delete),
    ("r", Op::Read),
    ("t", Op::Truncate),
];

/// Whether an object is surely a flattened row, whatever its columns look like.
pub fn is_marked(event: &Object) -> bool {
    MARKS.iter().any(|mark| event.contains_key(*mark))
}

/// Reads a flattened row if it is marked as one, or if it `must` be one; `None` if it
/// is not.
///
/// # Errors
/// What is wrong with it, and its table if that much could be read.
pub fn parse(
    event: &Object,
    received: &Received<'_>,
    must: bool,
) -> Option<Result<Parsed, Malformed>> {
    (is_marked(event) || must).then(|| read(event, received))
}

fn read(event: &Object, received: &Received<'_>) -> Result<Parsed, Malformed> {
    let of = |names: [&str; 2]| names.into_iter().find_map(|name| opt_text(event, name));
    let table = of(["__table", "__source_table"]).or_else(|| opt_text(event, "__collection"));
    let schema = of(["__schema", "__source_schema"]);
    let database = of(["__db", "__source_db"]);
    let table = match (table, schema, database) {
        (Some(table), Some(schema), database) => TableName {
            database: database.map(str::to_owned),
            schema: schema.to_owned(),
            table: table.to_owned(),
        },
        (Some(table), None, Some(schema)) => TableName {
            database: None,
            schema: schema.to_owned(),
            table: table.to_owned(),
        },
        (table, ..) => {
            let by_subject = table_of_subject(received.subject)?;
            TableName {
                table: table.map_or(by_subject.table, str::to_owned),
                ..by_subject
            }
        }
    };
    let number = |names: [&str; 2]| names.into_iter().find_map(|name| number(event, name));
    let millis = number(["__source_ts_ms", "__ts_ms"]);
    let place = Place {
        lsn: number(["__source_lsn", "__lsn"]),
        commit_us: millis.and_then(|ms| ms.checked_mul(1_000)),
        ..Place::default()
    };
    let op = op_of(event).map_err(|wrong| wrong.of_table(&table))?;
    let cells = event.iter().filter(|(name, _)| !name.starts_with("__"));
    let row = row_of(
        cells
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    );
    let (old, new) = match op {
        Op::Delete => (Some(row), None),
        Op::Truncate => (None, None),
        _ => (None, Some(row)),
    };
    let change = RowChange {
        table,
        op,
        old,
        new,
        changed_ms: place.commit_ms(),
    };
    Ok(Parsed::row(Format::Debezium, change).at(place))
}

/// Without `__op` a row that is there may be new or changed.
fn op_of(event: &Object) -> Result<Op, Malformed> {
    let deleted = match event.get("__deleted") {
        Some(Value::String(text)) => text == "true",
        Some(Value::Bool(deleted)) => *deleted,
        _ => false,
    };
    match (deleted, event.contains_key("__op")) {
        (true, _) => Ok(Op::Delete),
        (false, true) => op(event, "__op", &OPS),
        (false, false) => Ok(Op::Update),
    }
}
