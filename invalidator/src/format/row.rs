//! A row's change in the native format:
//!
//! ```json
//! {"cacheaside": 1, "op": "update", "schema": "public", "table": "users",
//!  "old": {"id": "7"}, "new": {"id": "7", "email": "a@example.org"},
//!  "unchanged": ["bio"], "source_time_ms": 1700000000000}
//! ```
//!
//! `op` is `insert`, `update`, `delete`, `truncate` or `read`. `old` has what is known of
//! the row before; an update without it says that the replica identity did not change.
//! `unchanged` names columns that are left out because they are as they were. A
//! `database` may stand beside the schema. Keys that are not known here are ignored.

use crate::change::{Malformed, Op, Row, RowChange, TableName};
use crate::format::fields::{Object, source_time, text};
use serde_json::Value;

/// What tells a row's change from an event that names keys.
pub const MARK: &str = "op";

const OPS: [Op; 5] = [Op::Insert, Op::Update, Op::Delete, Op::Truncate, Op::Read];

/// Reads a row's change; the version has been looked at.
///
/// # Errors
/// What is wrong with it, and its table if that much could be read.
pub fn parse(event: &Object) -> Result<RowChange, Malformed> {
    let table = TableName {
        database: text(event, "database").ok(),
        schema: text(event, "schema")?,
        table: text(event, "table")?,
    };
    parse_rest(event, &table).map_err(|wrong| wrong.of_table(&table))
}

fn parse_rest(event: &Object, table: &TableName) -> Result<RowChange, Malformed> {
    let word = text(event, MARK)?;
    let op = OPS.into_iter().find(|op| op.word() == word);
    let op = op.ok_or_else(|| {
        Malformed::new("`op` must be one of insert, update, delete, truncate and read")
    })?;
    let unchanged = match event.get("unchanged") {
        None => Vec::new(),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        Some(_) => return Err(Malformed::new("`unchanged` must be a list of columns")),
    };
    let new = image(event, "new", &unchanged)?;
    let old = image(event, "old", &[])?;
    let lacks = match op {
        Op::Insert | Op::Update | Op::Read if new.is_none() => Some("new"),
        Op::Delete if old.is_none() => Some("old"),
        _ => None,
    };
    if let Some(lacks) = lacks {
        let wrong = format!("`{lacks}` is missing from the {word} of a row");
        return Err(Malformed::new(wrong));
    }
    Ok(RowChange {
        table: table.clone(),
        op,
        old,
        new,
        changed_ms: source_time(event)?,
    })
}

fn image(event: &Object, key: &str, unchanged: &[&str]) -> Result<Option<Row>, Malformed> {
    match event.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(cells)) => {
            let unchanged = unchanged.iter().map(|name| (*name).to_owned());
            Ok(Some(Row::new(cells.clone(), unchanged.collect())))
        }
        Some(_) => Err(Malformed::new(format!("`{key}` must be an object"))),
    }
}
