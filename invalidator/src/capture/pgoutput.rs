//! Reads what PostgreSQL's `pgoutput` plugin sends between the begin and the commit of a
//! transaction: protocol version 1, text values (PostgreSQL's manual, "Logical Replication
//! Message Formats").

use bytes::{Buf, Bytes};
use std::sync::Arc;

/// The type of `boolean`, whose text is `t` or `f`.
const BOOL: u32 = 16;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// How a table looks whose rows follow.
    Relation(Relation),
    /// A row came, changed or went.
    Row(RowMessage),
    /// All rows of these tables went.
    Truncate(Vec<u32>),
    /// Nothing that a row depends on: a type's name, or where a change first came from.
    Other,
}

/// How a table looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// What rows call it by.
    pub id: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// Its columns, in the order of the tuples.
    pub columns: Vec<Column>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it belongs to the replica identity.
    pub is_identity: bool,
    /// Whether it holds booleans.
    pub is_bool: bool,
}

/// A row that came, changed or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowMessage {
    /// The table, by [`Relation::id`].
    pub relation: u32,
    /// Whether the row was there before and is there after.
    pub is_update: bool,
    /// The row before; without it, the replica identity is as it was.
    pub old: Option<Old>,
    /// The row after.
    pub new: Option<Vec<Datum>>,
}

/// The row before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Old {
    /// Whether all columns are there, or those of the replica identity only.
    pub is_whole: bool,
    /// The columns; those that are not there are null.
    pub tuple: Vec<Datum>,
}

/// One column of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datum {
    /// The database's NULL.
    Null,
    /// A large value that did not change, and is not sent.
    Unchanged,
    /// A value that no text stands for.
    Unknown,
    /// A value, as text.
    Text(Bytes),
}

/// What cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PostgreSQL sent what is no message of pgoutput version 1: {0}")]
pub struct Unreadable(pub &'static str);

const SHORT: Unreadable = Unreadable("it ends early");

/// Reads one message.
///
/// # Errors
/// What is wrong with it.
pub fn parse(mut bytes: Bytes) -> Result<Message, Unreadable> {
    let kind = bytes.try_get_u8().map_err(|_| SHORT)?;
    match kind {
        b'R' => relation(&mut bytes).map(Message::Relation),
        b'I' => {
            let relation = u32(&mut bytes)?;
            let new = match u8(&mut bytes)? {
                b'N' => Some(tuple(&mut bytes)?),
                _ => return Err(Unreadable("an insert without its row")),
            };
            Ok(Message::Row(RowMessage {
                relation,
                is_update: false,
                old: None,
                new,
            }))
        }
        b'U' => update(&mut bytes).map(Message::Row),
        b'D' => {
            let relation = u32(&mut bytes)?;
            let kind = u8(&mut bytes)?;
            let old = old(kind, &mut bytes)?;
            let old = Some(old.ok_or(Unreadable("a delete without its row"))?);
            Ok(Message::Row(RowMessage {
                relation,
                is_update: false,
                old,
                new: None,
            }))
        }
        b'T' => {
            let count = u32(&mut bytes)?;
            let _options = u8(&mut bytes)?;
            let ids: Result<_, _> = (0..count).map(|_| u32(&mut bytes)).collect();
            ids.map(Message::Truncate)
        }
        b'Y' | b'O' => Ok(Message::Other),
        _ => Err(Unreadable("its first letter is unknown")),
    }
}

fn update(bytes: &mut Bytes) -> Result<RowMessage, Unreadable> {
    let relation = u32(bytes)?;
    let mut kind = u8(bytes)?;
    let old = old(kind, bytes)?;
    if old.is_some() {
        kind = u8(bytes)?;
    }
    if kind != b'N' {
        return Err(Unreadable("an update without its row"));
    }
    let new = Some(tuple(bytes)?);
    Ok(RowMessage {
        relation,
        is_update: true,
        old,
        new,
    })
}

fn old(kind: u8, bytes: &mut Bytes) -> Result<Option<Old>, Unreadable> {
    let is_whole = match kind {
        b'O' => true,
        b'K' => false,
        _ => return Ok(None),
    };
    let tuple = tuple(bytes)?;
    Ok(Some(Old { is_whole, tuple }))
}

fn relation(bytes: &mut Bytes) -> Result<Relation, Unreadable> {
    let id = u32(bytes)?;
    let schema = match text(bytes)? {
        // So is the schema of the system's own tables sent.
        empty if empty.is_empty() => "pg_catalog".to_owned(),
        schema => schema,
    };
    let table = text(bytes)?;
    let _identity = u8(bytes)?;
    let count = u16(bytes)?;
    let mut columns = Vec::new();
    for _ in 0..count {
        let flags = u8(bytes)?;
        let name = text(bytes)?.into();
        let kind = u32(bytes)?;
        let _modifier = u32(bytes)?;
        columns.push(Column {
            name,
            is_identity: flags & 1 == 1,
            is_bool: kind == BOOL,
        });
    }
    Ok(Relation {
        id,
        schema,
        table,
        columns,
    })
}

fn tuple(bytes: &mut Bytes) -> Result<Vec<Datum>, Unreadable> {
    let count = u16(bytes)?;
    let mut tuple = Vec::new();
    for _ in 0..count {
        tuple.push(match u8(bytes)? {
            b'n' => Datum::Null,
            b'u' => Datum::Unchanged,
            b't' => {
                let length = u32(bytes)? as usize;
                if bytes.len() < length {
                    return Err(SHORT);
                }
                Datum::Text(bytes.split_to(length))
            }
            _ => {
                return Err(Unreadable(
                    "a column that is neither null, unchanged nor text",
                ));
            }
        });
    }
    Ok(tuple)
}

fn u8(bytes: &mut Bytes) -> Result<u8, Unreadable> {
    bytes.try_get_u8().map_err(|_| SHORT)
}

fn u16(bytes: &mut Bytes) -> Result<u16, Unreadable> {
    bytes.try_get_u16().map_err(|_| SHORT)
}

fn u32(bytes: &mut Bytes) -> Result<u32, Unreadable> {
    bytes.try_get_u32().map_err(|_| SHORT)
}

/// A text that ends with a zero.
fn text(bytes: &mut Bytes) -> Result<String, Unreadable> {
    let length = bytes.iter().position(|byte| *byte == 0).ok_or(SHORT)?;
    let text = bytes.split_to(length);
    bytes.advance(1);
    String::from_utf8(text.into()).map_err(|_| Unreadable("a name that is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn column(name: &str, is_identity: bool, is_bool: bool) -> Column {
        Column {
            name: name.into(),
            is_identity,
            is_bool,
        }
    }

    #[test]
    fn a_table_is_read_with_its_identity() {
        let mut bytes = b"R\0\0\0\x07public\0users\0d\0\x02".to_vec();
        bytes.extend(b"\x01id\0\0\0\0\x14\xff\xff\xff\xff");
        bytes.extend(b"\0active\0\0\0\0\x10\xff\xff\xff\xff");
        let relation = Relation {
            id: 7,
            schema: "public".to_owned(),
            table: "users".to_owned(),
            columns: vec![column("id", true, false), column("active", false, true)],
        };
        assert_eq!(parse(bytes.into()), Ok(Message::Relation(relation)));
    }

    #[test]
    fn an_update_has_an_old_row_only_if_it_was_sent() {
        let text = |text: &'static str| Datum::Text(Bytes::from_static(text.as_bytes()));
        let plain = b"U\0\0\0\x07N\0\x03t\0\0\0\x011nu";
        let row = RowMessage {
            relation: 7,
            is_update: true,
            old: None,
            new: Some(vec![text("1"), Datum::Null, Datum::Unchanged]),
        };
        assert_eq!(parse(plain[..].into()), Ok(Message::Row(row)));
        let moved = b"U\0\0\0\x07K\0\x02t\0\0\0\x011nN\0\x02t\0\0\0\x012n";
        let row = RowMessage {
            relation: 7,
            is_update: true,
            old: Some(Old {
                is_whole: false,
                tuple: vec![text("1"), Datum::Null],
            }),
            new: Some(vec![text("2"), Datum::Null]),
        };
        assert_eq!(parse(moved[..].into()), Ok(Message::Row(row)));
    }

    #[test]
    fn one_truncate_names_many_tables() {
        let bytes = b"T\0\0\0\x02\x01\0\0\0\x07\0\0\0\x08";
        assert_eq!(parse(bytes[..].into()), Ok(Message::Truncate(vec![7, 8])));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(bytes.into());
        }

        #[test]
        fn what_ends_early_is_refused(cut in 1..22usize) {
            let whole = b"D\0\0\0\x07O\0\x02t\0\0\0\x03abct\0\0";
            prop_assert!(parse(whole[..cut.min(whole.len())].into()).is_err());
        }
    }
}
