//! Rows as PostgreSQL sends them, written as events in the native format
//! ([`crate::format::row`]).
//!
//! Values are texts, as PostgreSQL writes them; only booleans are JSON's own, so that a
//! key is made of `true` and not of `t`. A value that no key could be made of, because it
//! is too large or no UTF-8, is left out: a rule that needs it finds it missing, which is
//! loud, and never takes another for it.

use crate::capture::pgoutput::{Column, Datum, Old, Relation, RowMessage, Unreadable};
use crate::format::{native, row};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// The largest value that an event carries, in bytes; keys have 512 at most.
pub const VALUE_BYTES_MAX: usize = 8 << 10;
/// The largest event, in bytes: NATS carries 1 MiB unless told otherwise, headers included.
pub const EVENT_BYTES_MAX: usize = 900 << 10;
/// What values may have in an event that would be too large otherwise, in bytes. With the
/// last, even the widest table fits: two images of 1,600 columns.
const SMALLER: [usize; 3] = [VALUE_BYTES_MAX, 128, 16];

/// The event of a row that came, changed or went.
///
/// # Errors
/// When the row does not fit its table.
pub fn row(
    relation: &Relation,
    message: &RowMessage,
    committed_ms: u64,
) -> Result<Bytes, Unreadable> {
    for tuple in [
        message.new.as_ref(),
        message.old.as_ref().map(|old| &old.tuple),
    ] {
        if tuple.is_some_and(|tuple| tuple.len() != relation.columns.len()) {
            return Err(Unreadable("a row with other columns than its table"));
        }
    }
    let fitting = SMALLER.iter().find_map(|largest| {
        let event = row_with(relation, message, committed_ms, *largest);
        (event.len() <= EVENT_BYTES_MAX).then_some(event)
    });
    Ok(fitting.unwrap_or_else(|| {
        let (schema, table) = (&relation.schema, &relation.table);
        lost(&format!("a row of {schema}.{table} was too large to tell"))
    }))
}

fn row_with(relation: &Relation, message: &RowMessage, committed_ms: u64, largest: usize) -> Bytes {
    let op = match (message.is_update, &message.new) {
        (true, _) => "update",
        (false, Some(_)) => "insert",
        (false, None) => "delete",
    };
    let mut event = of_table(relation, op, committed_ms);
    let columns = || relation.columns.iter();
    let identity = |tuple: &[Datum]| {
        let known = columns()
            .zip(tuple)
            .filter(|(column, _)| column.is_identity);
        image(known, largest)
    };
    let old = match (&message.old, &message.new) {
        (
            Some(Old {
                is_whole: true,
                tuple,
            }),
            _,
        ) => Some(image(columns().zip(tuple), largest)),
        (Some(old), _) => Some(identity(&old.tuple)),
        // Without an old row the replica identity is as it was.
        (None, Some(new)) if message.is_update => Some(identity(new)),
        (None, _) => None,
    };
    if let Some(old) = old {
        event.insert("old".to_owned(), old.into());
    }
    if let Some(new) = &message.new {
        event.insert("new".to_owned(), image(columns().zip(new), largest).into());
        let unchanged = columns().zip(new);
        let unchanged = unchanged.filter(|(_, datum)| **datum == Datum::Unchanged);
        let unchanged: Vec<&str> = unchanged.map(|(column, _)| &*column.name).collect();
        if !unchanged.is_empty() {
            event.insert("unchanged".to_owned(), unchanged.into());
        }
    }
    Value::from(event).to_string().into()
}

/// The event of a table that lost all its rows.
pub fn truncate(relation: &Relation, committed_ms: u64) -> Bytes {
    let event = of_table(relation, "truncate", committed_ms);
    Value::from(event).to_string().into()
}

/// The event that an application wrote into the log. What is no object goes out as it is:
/// whoever reads it keeps it as a dead letter and clears what it may have been about.
pub fn message(content: &Bytes) -> Bytes {
    match serde_json::from_slice::<Map<String, Value>>(content) {
        Ok(mut event) => {
            let version = native::VERSION.into();
            event.entry(native::MARK.to_owned()).or_insert(version);
            Value::from(event).to_string().into()
        }
        Err(_) => content.clone(),
    }
}

/// The event that says that changes may be missing.
pub fn lost(why: &str) -> Bytes {
    let event = json!({ native::MARK: native::VERSION, native::LOST: why });
    event.to_string().into()
}

/// The event that says nothing but that the capture lives.
pub fn beat() -> Bytes {
    let event = json!({ native::MARK: native::VERSION, native::BEAT: true });
    event.to_string().into()
}

/// The subject of a table's events. What NATS takes for its own is replaced: the event
/// has the names as they are.
pub fn subject(prefix: &str, relation: &Relation) -> String {
    let token = |name: &str| {
        let is_plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let plain = name.chars().map(|c| if is_plain(c) { c } else { '_' });
        plain.collect::<String>()
    };
    format!(
        "{prefix}.{}.{}",
        token(&relation.schema),
        token(&relation.table)
    )
}

fn of_table(relation: &Relation, op: &str, committed_ms: u64) -> Map<String, Value> {
    let mut event = Map::new();
    event.insert(native::MARK.to_owned(), native::VERSION.into());
    event.insert(row::MARK.to_owned(), op.into());
    event.insert("schema".to_owned(), relation.schema.as_str().into());
    event.insert("table".to_owned(), relation.table.as_str().into());
    event.insert("source_time_ms".to_owned(), committed_ms.into());
    event
}

fn image<'r>(
    cells: impl Iterator<Item = (&'r Column, &'r Datum)>,
    largest: usize,
) -> Map<String, Value> {
    let known = cells.filter_map(|(column, datum)| {
        let value = match datum {
            Datum::Null => Value::Null,
            Datum::Text(text) if text.len() <= largest => text_of(column, text)?,
            Datum::Text(_) | Datum::Unchanged | Datum::Unknown => return None,
        };
        Some((column.name.to_string(), value))
    });
    known.collect()
}

fn text_of(column: &Column, text: &Bytes) -> Option<Value> {
    match (column.is_bool, text.as_ref()) {
        (true, b"t") => Some(true.into()),
        (true, b"f") => Some(false.into()),
        _ => std::str::from_utf8(text).ok().map(Value::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Cell, Change, Op, RowChange};
    use crate::format::row::parse;

    fn text(text: &str) -> Datum {
        Datum::Text(text.to_owned().into())
    }

    fn users() -> Relation {
        let column = |name: &str, is_identity, is_bool| Column {
            name: name.into(),
            is_identity,
            is_bool,
        };
        Relation {
            id: 7,
            schema: "public".to_owned(),
            table: "users".to_owned(),
            columns: vec![
                column("id", true, false),
                column("bio", false, false),
                column("active", false, true),
            ],
        }
    }

    fn told(old: Option<Old>, new: Option<Vec<Datum>>, is_update: bool) -> RowChange {
        let message = RowMessage {
            relation: 7,
            is_update,
            old,
            new,
        };
        let event = row(&users(), &message, 1_700_000_000_000).expect("an event");
        parse(&serde_json::from_slice(&event).expect("an object")).expect("a row")
    }

    #[test]
    fn an_update_without_an_old_row_tells_its_identity() {
        let new = vec![text("1"), Datum::Unchanged, text("t")];
        let change = told(None, Some(new), true);
        assert_eq!(change.op, Op::Update);
        assert_eq!(change.table.to_string(), "public.users");
        assert_eq!(change.changed_ms, Some(1_700_000_000_000));
        let (old, new) = (change.old.expect("old"), change.new.expect("new"));
        assert_eq!(old.cell("id"), Cell::Text("1".into()));
        assert_eq!(old.cell("active"), Cell::Absent, "it may have been another");
        assert_eq!(new.cell("active"), Cell::Text("true".into()));
        assert_eq!(new.cell("bio"), Cell::Unchanged);
    }

    #[test]
    fn of_an_old_key_the_other_columns_are_unknown_and_not_null() {
        let old = Old {
            is_whole: false,
            tuple: vec![text("1"), Datum::Null, Datum::Null],
        };
        let deleted = told(Some(old.clone()), None, false);
        assert_eq!(deleted.op, Op::Delete);
        let row = deleted.old.expect("old");
        assert_eq!(row.cell("id"), Cell::Text("1".into()));
        assert_eq!(row.cell("bio"), Cell::Absent);
        let whole = Old {
            is_whole: true,
            ..old
        };
        let row = told(Some(whole), None, false).old.expect("old");
        assert_eq!(row.cell("bio"), Cell::Null);
    }

    #[test]
    fn what_no_key_could_be_made_of_is_left_out() {
        let broken = Datum::Text(Bytes::from_static(b"\xff"));
        let large = text(&"x".repeat(VALUE_BYTES_MAX + 1));
        for odd in [broken, large] {
            let change = told(None, Some(vec![text("1"), odd, text("f")]), false);
            assert_eq!(change.op, Op::Insert);
            let new = change.new.expect("new");
            assert_eq!(new.cell("bio"), Cell::Absent);
            assert_eq!(new.cell("active"), Cell::Text("false".into()));
        }
    }

    #[test]
    fn the_widest_row_fits() {
        let mut wide = users();
        wide.columns = (0..1_600)
            .map(|n| Column {
                name: format!("{n:063}").into(),
                is_identity: n == 0,
                is_bool: false,
            })
            .collect();
        let tuple = vec![text(&"\u{1}".repeat(VALUE_BYTES_MAX)); 1_600];
        let old = Old {
            is_whole: true,
            tuple: tuple.clone(),
        };
        let message = RowMessage {
            relation: 7,
            is_update: true,
            old: Some(old),
            new: Some(tuple),
        };
        let event = row(&wide, &message, 0).expect("an event");
        assert!(event.len() <= EVENT_BYTES_MAX);
        let event = serde_json::from_slice(&event).expect("an object");
        assert!(parse(&event).expect("a row").new.is_some());
    }

    #[test]
    fn an_applications_own_event_is_marked() {
        let event = message(&Bytes::from_static(br#"{"cache": "users", "tags": ["a"]}"#));
        let event = serde_json::from_slice(&event).expect("an object");
        let Ok(Change::Named(named)) = native::parse(&event) else {
            panic!("{event:?}");
        };
        assert_eq!(named.cache.as_str(), "users");
        let odd = Bytes::from_static(b"users");
        assert_eq!(message(&odd), odd, "for the dead letters");
    }

    #[test]
    fn subjects_hold_nothing_that_nats_takes_for_its_own() {
        let odd = Relation {
            schema: "my.schema".to_owned(),
            table: "a > b*".to_owned(),
            ..users()
        };
        assert_eq!(subject("cdc", &odd), "cdc.my_schema.a___b_");
        assert_eq!(subject("cdc", &users()), "cdc.public.users");
    }
}
