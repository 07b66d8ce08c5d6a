//! wal-listener's events: `schema`, `table`, `action`, `data`, `dataOld`, `commitTime`.
//!
//! What surprises in them:
//!
//! - They tell no place in the log, and their `id` is another one at every delivery.
//! - `dataOld` is empty in an update that changed no column of the replica identity.
//! - Null may be NULL, a column outside the replica identity (in `dataOld`), or a large
//!   column that did not change (in `data`). So it counts as not known, unless the rest
//!   of the row shows which it is.

use crate::change::{Doubt, Format, Malformed, Op, Parsed, Row, RowChange, TableName};
use crate::format::fields::{Object, at_time, object, op, opt_text, text, whole};
use crate::format::received::{Reading, Received};
use crate::format::time::micros;

const OPS: [(&str, Op); 4] = [
    ("INSERT", Op::Insert),
    ("UPDATE", Op::Update),
    ("DELETE", Op::Delete),
    ("TRUNCATE", Op::Truncate),
];

/// Reads `event` if it has the shape; `None` if it has not.
///
/// # Errors
/// What is wrong with it, and its table if that much could be read.
pub fn parse(event: &Object, _: &Received<'_>, _: &Reading) -> Option<Result<Parsed, Malformed>> {
    let has = |key: &str| event.contains_key(key);
    let fits = has("action") && has("data") && (has("dataOld") || has("commitTime"));
    fits.then(|| read(event))
}

fn read(event: &Object) -> Result<Parsed, Malformed> {
    let table = TableName {
        database: None,
        schema: text(event, "schema")?,
        table: text(event, "table")?,
    };
    let place = at_time(opt_text(event, "commitTime").and_then(micros));
    let image = |key: &str| {
        let image = object(event, key).map_err(|wrong| wrong.of_table(&table))?;
        let image = image.filter(|cells| !cells.is_empty());
        Ok(image.map(|cells| Row::plain(cells.clone())))
    };
    let op = op(event, "action", &OPS).map_err(|wrong| wrong.of_table(&table))?;
    let new = image("data")?;
    let change = RowChange {
        op,
        old: image("dataOld")?.map(|row| row.doubting(Doubt::Nulls)),
        // Nothing of a new row can be unchanged.
        new: match op {
            Op::Insert => new,
            _ => new.map(|row| row.doubting(Doubt::Nulls)),
        },
        changed_ms: place.commit_ms(),
        table,
    };
    let change = whole(change, "data")?;
    Ok(Parsed::row(Format::WalListener, change).at(place))
}
