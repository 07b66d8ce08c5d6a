//! What several formats have in common.

use crate::change::{Change, Malformed, Op, Place, RowChange, TableName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// An object of an event.
pub type Object = Map<String, Value>;

/// A text that is not empty.
///
/// # Errors
/// When it is missing, empty, or something else.
pub fn text(event: &Object, key: &str) -> Result<String, Malformed> {
    match opt_text(event, key) {
        Some(text) => Ok(text.to_owned()),
        None => Err(Malformed::new(format!("`{key}` must be a string"))),
    }
}

/// A text that is not empty, if there is one.
pub fn opt_text<'e>(event: &'e Object, key: &str) -> Option<&'e str> {
    let text = event.get(key)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

/// A whole number from 0, as a number or as its digits in a string.
pub fn number(event: &Object, key: &str) -> Option<u64> {
    match event.get(key)? {
        Value::String(digits) => digits.parse().ok(),
        other => other.as_u64(),
    }
}

/// PostgreSQL's way to write a place in its log: `0/1528618`.
pub fn lsn(event: &Object, key: &str) -> Option<u64> {
    let (high, low) = opt_text(event, key)?.split_once('/')?;
    let half = |text: &str| u32::from_str_radix(text, 16).ok();
    Some(u64::from(half(high)?) << 32 | u64::from(half(low)?))
}

/// When the source changed, in milliseconds since the epoch, as `source_time_ms`.
///
/// # Errors
/// When it is something else.
pub fn source_time(event: &Object) -> Result<Option<u64>, Malformed> {
    match event.get("source_time_ms") {
        None | Some(Value::Null) => Ok(None),
        Some(time) => time.as_u64().map(Some).ok_or_else(|| {
            Malformed::new("`source_time_ms` must be whole milliseconds since the epoch")
        }),
    }
}

/// A row or another object that may be left out.
///
/// # Errors
/// When it is neither an object nor null.
pub fn object<'e>(event: &'e Object, key: &str) -> Result<Option<&'e Object>, Malformed> {
    match event.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(Malformed::new(format!("`{key}` must be an object or null"))),
    }
}

/// The list under a key; none if it is left out or null.
///
/// # Errors
/// When it is something else.
pub fn list<'e>(event: &'e Object, key: &str) -> Result<&'e [Value], Malformed> {
    match event.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(all)) => Ok(all),
        Some(_) => Err(Malformed::new(format!("`{key}` must be a list"))),
    }
}

/// The old row, where a source tells the old values of the changed columns only.
pub fn before(new: &Object, changed: &Object) -> Object {
    let mut old = new.clone();
    for (column, value) in changed {
        old.insert(column.clone(), value.clone());
    }
    old
}

/// A source's word for what was done to a row.
///
/// # Errors
/// When the word is none of these.
pub fn op(event: &Object, key: &str, words: &[(&str, Op)]) -> Result<Op, Malformed> {
    let said = event.get(key).and_then(Value::as_str);
    let found = words.iter().find(|(word, _)| Some(*word) == said);
    found.map(|(_, op)| *op).ok_or_else(|| {
        let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        Malformed::new(format!("`{key}` must be one of {}", all.join(", ")))
    })
}

/// The same change, if it has what its kind needs. `new` is what the format calls the
/// new row.
///
/// # Errors
/// When an insert, an update or a read has no new row.
pub fn whole(change: RowChange, new: &str) -> Result<RowChange, Malformed> {
    let needs = matches!(change.op, Op::Insert | Op::Update | Op::Read);
    match needs && change.new.is_none() {
        true => Err(Malformed::new(format!(
            "`{new}` is missing from the {} of a row",
            change.op.word()
        ))
        .of_table(&change.table)),
        false => Ok(change),
    }
}

/// A change that may be wrong among others that are not.
pub fn either(change: Result<RowChange, Malformed>) -> Change {
    match change {
        Ok(change) => Change::Row(change),
        Err(malformed) => Change::Malformed(malformed),
    }
}

/// A place of which the time of the commit is known at most.
pub fn at_time(commit_us: Option<u64>) -> Place {
    Place {
        commit_us,
        ..Place::default()
    }
}

/// The table that a subject ends with: `....schema.table`.
///
/// # Errors
/// When it has fewer than two parts.
pub fn table_of_subject(subject: &str) -> Result<TableName, Malformed> {
    let mut parts = subject.rsplit('.');
    match (parts.next(), parts.next()) {
        (Some(table), Some(schema)) if !table.is_empty() && !schema.is_empty() => Ok(TableName {
            database: None,
            schema: schema.to_owned(),
            table: table.to_owned(),
        }),
        _ => Err(Malformed::new(format!(
            "the event names no table, and its subject `{subject}` does not end with \
             schema.table"
        ))),
    }
}

/// Bytes that are written as base64; `None` for anything else.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: &str) -> Object {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn numbers_may_be_digits() {
        let event = event(r#"{"a": 18446744073709551615, "b": "7", "c": -1, "d": "x", "e": 1.5}"#);
        assert_eq!(number(&event, "a"), Some(u64::MAX));
        assert_eq!(number(&event, "b"), Some(7));
        for key in ["c", "d", "e", "f"] {
            assert_eq!(number(&event, key), None, "{key}");
        }
    }

    #[test]
    fn places_in_the_log() {
        let event = event(r#"{"a": "0/1528618", "b": "16/B374D848", "c": "1528618", "d": "g/1"}"#);
        assert_eq!(lsn(&event, "a"), Some(0x152_8618));
        assert_eq!(lsn(&event, "b"), Some(0x16_B374_D848));
        assert_eq!(lsn(&event, "c"), None);
        assert_eq!(lsn(&event, "d"), None);
    }

    #[test]
    fn a_subject_ends_with_its_table() {
        let table = table_of_subject("cdc.shop.public.users").unwrap();
        assert_eq!(table.to_string(), "public.users");
        for bad in ["", "users", "users.", ".users"] {
            assert!(table_of_subject(bad).is_err(), "{bad}");
        }
    }
}
