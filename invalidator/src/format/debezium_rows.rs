//! The images of rows in Debezium's envelope, as its connectors write them.
//!
//! - A large column that did not change is [`UNAVAILABLE`] instead of its value.
//! - PostgreSQL's old row may hold the replica identity alone. The other columns are then
//!   null, or zero or empty if they may not be NULL.
//! - MongoDB's documents are JSON in a string, with types wrapped as `{"$oid": …}`. An
//!   update may have no document, but `updateDescription` with the changed fields.
//! - YugabyteDB wraps each value as `{"value": …, "set": true}`; what is not set did not
//!   change.
//! - Spanner may be told to send changed columns only; the others are null.

use crate::change::{Doubt, Malformed, Op, Row};
use crate::format::fields::{Object, before as overlaid, opt_text};
use serde_json::Value;

/// What Debezium writes for a large column that did not change.
pub const UNAVAILABLE: &str = "__debezium_unavailable_value";
/// The same in a column of bytes, which are written as base64.
pub const UNAVAILABLE_BYTES: &str = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";

/// The rows before and after a change.
///
/// # Errors
/// When an image is no row.
pub fn rows(
    envelope: &Object,
    source: &Object,
    op: Op,
) -> Result<(Option<Row>, Option<Row>), Malformed> {
    let old = image(envelope, "before")?;
    let new = match (image(envelope, "after")?, op) {
        // A delete may carry a row of nulls as `after`; it says nothing.
        (_, Op::Delete) => None,
        (None, Op::Update) => described(envelope, old.as_ref())?,
        (new, _) => new,
    };
    let changed_only = ["OLD_AND_NEW_VALUES", "NEW_VALUES"];
    let kind = opt_text(source, "value_capture_type");
    let doubt = op == Op::Update && kind.is_some_and(|kind| changed_only.contains(&kind));
    let doubt = |usual| if doubt { Doubt::Nulls } else { usual };
    let of_old = match opt_text(source, "connector") {
        Some("postgresql") => Doubt::Blanks,
        _ => Doubt::Nothing,
    };
    let old = old.map(|cells| row_of(cells).doubting(doubt(of_old)));
    let new = new.map(|cells| row_of(cells).doubting(doubt(Doubt::Nothing)));
    Ok((old, new))
}

/// One row without the envelope around it.
pub fn row_of(cells: Object) -> Row {
    let wrapped = cells.values().any(|value| unwrap(value).is_some());
    let mut unchanged = Vec::new();
    let mut known = Object::new();
    for (column, value) in cells {
        let value = match (unwrap(&value), wrapped) {
            (Some(inner), _) => inner.cloned(),
            (None, true) if value.is_null() => None,
            (None, _) => Some(value),
        };
        match value {
            Some(value) if !is_unavailable(&value) => {
                known.insert(column, value);
            }
            _ => unchanged.push(column),
        }
    }
    Row::new(known, unchanged)
}

fn is_unavailable(value: &Value) -> bool {
    match value {
        Value::String(text) => text == UNAVAILABLE || text == UNAVAILABLE_BYTES,
        Value::Array(all) => all.len() == 1 && is_unavailable(&all[0]),
        _ => false,
    }
}

/// YugabyteDB's wrapped value: what is in it, or that it is not set. `None` if the value
/// is not wrapped.
fn unwrap(value: &Value) -> Option<Option<&Value>> {
    let wrapper = value.as_object().filter(|wrapper| wrapper.len() == 2)?;
    let inner = wrapper.get("value")?;
    match wrapper.get("set")?.as_bool()? {
        true => Some(Some(inner)),
        false => Some(None),
    }
}

fn image(envelope: &Object, key: &str) -> Result<Option<Object>, Malformed> {
    match envelope.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(cells)) => Ok(Some(cells.clone())),
        Some(Value::String(document)) => self::document(document, key).map(Some),
        Some(_) => Err(Malformed::new(format!("`{key}` must be an object or null"))),
    }
}

/// A document of MongoDB.
fn document(text: &str, key: &str) -> Result<Object, Malformed> {
    let wrong = |_| Malformed::new(format!("`{key}` must be an object or null, or its JSON"));
    let cells: Object = serde_json::from_str(text).map_err(wrong)?;
    let plain = cells.into_iter().map(|(name, value)| (name, plain(value)));
    Ok(plain.collect())
}

/// MongoDB's types without their wrapping, where a key can be made of them.
fn plain(value: Value) -> Value {
    const TYPES: [&str; 8] = [
        "$oid",
        "$numberLong",
        "$numberInt",
        "$numberDouble",
        "$numberDecimal",
        "$uuid",
        "$symbol",
        "$date",
    ];
    match value {
        Value::Object(mut wrapper) if wrapper.len() == 1 => {
            let known = TYPES.iter().find_map(|kind| wrapper.remove(*kind));
            known.map_or(Value::Object(wrapper), plain)
        }
        other => other,
    }
}

/// The new document by what changed in the old one, where that is all that is told.
fn described(envelope: &Object, old: Option<&Object>) -> Result<Option<Object>, Malformed> {
    let told = envelope.get("updateDescription").and_then(Value::as_object);
    let Some(told) = told else {
        return Ok(None);
    };
    let mut new = old.cloned().unwrap_or_default();
    match told.get("updatedFields") {
        Some(Value::String(fields)) => {
            new = overlaid(&new, &document(fields, "updatedFields")?);
        }
        Some(Value::Object(fields)) => new = overlaid(&new, fields),
        _ => {}
    }
    let removed = told.get("removedFields").and_then(Value::as_array);
    for field in removed.into_iter().flatten().filter_map(Value::as_str) {
        new.insert(field.to_owned(), Value::Null);
    }
    Ok(Some(new))
}
