//! Canal's flat messages: `data` and `old` are lists of rows, of one statement. TiCDC
//! writes them as well.
//!
//! What surprises in them:
//!
//! - Every value is a string.
//! - `old` holds the changed columns only, or with TiCDC all of them.
//! - A change of the schema has `isDdl`; a truncated or dropped table is one.
//! - With TiCDC's extension `_tidb` there is the commit's timestamp, and there are
//!   watermarks between the changes.

use crate::change::{Change, Format, Malformed, Op, Parsed, Place, RowChange, TableName};
use crate::format::fields::{Object, either, list, number, op, opt_text, text, whole};
use crate::format::maxwell::changed;
use crate::format::received::{Reading, Received};
use serde_json::Value;

const OPS: [(&str, Op); 3] = [
    ("INSERT", Op::Insert),
    ("UPDATE", Op::Update),
    ("DELETE", Op::Delete),
];

/// Reads `event` if it has the shape; `None` if it has not.
///
/// # Errors
/// What is wrong with it, and its table if that much could be read.
pub fn parse(event: &Object, _: &Received<'_>, _: &Reading) -> Option<Result<Parsed, Malformed>> {
    let ddl = event.get("isDdl")?.as_bool();
    event.contains_key("type").then(|| read(event, ddl))
}

fn read(event: &Object, ddl: Option<bool>) -> Result<Parsed, Malformed> {
    let tidb = event.get("_tidb").and_then(Value::as_object);
    let place = Place {
        commit_lsn: tidb.and_then(|tidb| number(tidb, "commitTs")),
        commit_us: number(event, "es").and_then(|es| es.checked_mul(1_000)),
        ..Place::default()
    };
    let kind = opt_text(event, "type");
    if kind == Some("TIDB_WATERMARK") {
        let change = Change::Nothing("a heartbeat");
        return Ok(Parsed::one(Format::Canal, change).at(place));
    }
    let ddl = ddl.ok_or_else(|| Malformed::new("`isDdl` must be true or false"))?;
    let changes = match (ddl, kind) {
        (true, Some("TRUNCATE" | "ERASE")) => {
            let change = changed(&table_of(event)?, Op::Truncate, None, None);
            vec![Change::Row(dated(change, place))]
        }
        (true, _) => vec![Change::Nothing("a change of the schema")],
        (false, _) => {
            let table = table_of(event)?;
            rows(event, &table, place).map_err(|wrong| wrong.of_table(&table))?
        }
    };
    Ok(Parsed {
        format: Format::Canal,
        changes,
        place,
    })
}

fn rows(event: &Object, table: &TableName, place: Place) -> Result<Vec<Change>, Malformed> {
    let op = op(event, "type", &OPS)?;
    let (data, old) = (list(event, "data")?, list(event, "old")?);
    if data.is_empty() {
        return Err(Malformed::new("`data` must be a list of rows"));
    }
    let pairs = data.iter().enumerate();
    let changes = pairs.map(|(at, data)| either(row(table, op, data, old.get(at), place)));
    Ok(changes.collect())
}

fn row(
    table: &TableName,
    op: Op,
    data: &Value,
    old: Option<&Value>,
    place: Place,
) -> Result<RowChange, Malformed> {
    let old = old.and_then(Value::as_object);
    if op == Op::Update && old.is_none() {
        let wrong = "`old` has no row for one of `data`";
        return Err(Malformed::new(wrong).of_table(table));
    }
    let change = changed(table, op, data.as_object(), old);
    let change = match (op, &change.old) {
        (Op::Delete, None) => {
            let wrong = "`data` must be a list of rows";
            return Err(Malformed::new(wrong).of_table(table));
        }
        _ => dated(change, place),
    };
    whole(change, "data")
}

fn dated(change: RowChange, place: Place) -> RowChange {
    RowChange {
        changed_ms: place.commit_ms(),
        ..change
    }
}

fn table_of(event: &Object) -> Result<TableName, Malformed> {
    Ok(TableName {
        database: None,
        schema: text(event, "database")?,
        table: text(event, "table")?,
    })
}
