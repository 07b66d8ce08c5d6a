//! Maxwell's rows: `database`, `table`, `type`, `ts`, `data`, `old`.
//!
//! What surprises in them:
//!
//! - `old` holds the changed columns only; the others are as in `data`.
//! - `data` of a delete is the deleted row.
//! - `ts` is in seconds (in milliseconds with a change of the schema), and the place in the binlog is no number.
//! - A dropped table is an event like any other, and its rows went with it.

use crate::change::{Change, Format, Malformed, Op, Parsed, Row, RowChange, TableName};
use crate::format::fields::{Object, at_time, before, number, object, op, opt_text, text, whole};
use crate::format::received::{Reading, Received};

const OPS: [(&str, Op); 6] = [
    ("insert", Op::Insert),
    ("update", Op::Update),
    ("delete", Op::Delete),
    ("bootstrap-insert", Op::Read),
    ("table-truncate", Op::Truncate),
    ("table-drop", Op::Truncate),
];

/// Reads `event` if it has the shape; `None` if it has not.
///
/// # Errors
/// What is wrong with it, and its table if that much could be read.
pub fn parse(event: &Object, _: &Received<'_>, _: &Reading) -> Option<Result<Parsed, Malformed>> {
    let has = |key: &str| event.contains_key(key);
    let fits = has("database") && has("type") && has("ts") && !has("isDdl");
    fits.then(|| read(event))
}

fn read(event: &Object) -> Result<Parsed, Malformed> {
    let place = at_time(number(event, "ts").and_then(micros));
    let change = match opt_text(event, "type") {
        Some("bootstrap-start" | "bootstrap-complete") => Change::Nothing("the border of a load"),
        Some("database-drop") => Change::Lost("a database was dropped".to_owned()),
        Some("table-create" | "table-alter" | "database-create" | "database-alter") => {
            Change::Nothing("a change of the schema")
        }
        _ => {
            let table = TableName {
                database: None,
                schema: text(event, "database")?,
                table: text(event, "table")?,
            };
            let change = row(event, &table, place.commit_ms());
            Change::Row(change.map_err(|wrong| wrong.of_table(&table))?)
        }
    };
    Ok(Parsed::one(Format::Maxwell, change).at(place))
}

/// Rows are dated in seconds, changes of the schema in milliseconds.
fn micros(ts: u64) -> Option<u64> {
    match ts {
        0..=99_999_999_999 => ts.checked_mul(1_000_000),
        _ => ts.checked_mul(1_000),
    }
}

fn row(event: &Object, table: &TableName, changed_ms: Option<u64>) -> Result<RowChange, Malformed> {
    let op = op(event, "type", &OPS)?;
    let change = changed(table, op, object(event, "data")?, object(event, "old")?);
    whole(
        RowChange {
            changed_ms,
            ..change
        },
        "data",
    )
}

/// A change of a row of MySQL, of which the old values of changed columns are told.
pub fn changed(
    table: &TableName,
    op: Op,
    data: Option<&Object>,
    old: Option<&Object>,
) -> RowChange {
    let plain = |cells: &Object| Row::plain(cells.clone());
    let (old, new) = match (op, data) {
        (Op::Truncate, _) => (None, None),
        (Op::Delete, data) => (data.map(plain), None),
        (Op::Update, Some(data)) => {
            let old = old.map(|changed| Row::plain(before(data, changed)));
            (old, Some(plain(data)))
        }
        (_, data) => (None, data.map(plain)),
    };
    RowChange {
        table: table.clone(),
        op,
        old,
        new,
        changed_ms: None,
    }
}
