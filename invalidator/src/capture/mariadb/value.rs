//! Values of the binary log, as texts that keys are made of.
//!
//! The log has bytes; what they mean depends on the column. A value that an application
//! could see as another text is left out, so that a rule that needs it finds it missing:
//! floating point, times that depend on a time zone, bits, sets, documents, and letters
//! in anything but UTF-8.

use crate::capture::pgoutput::Datum;
use mysql_async::Value;
use mysql_async::binlog::value::BinlogValue;
use mysql_async::consts::ColumnType;
use std::collections::HashMap;

/// The character set of each collation, by the number that the log has.
#[derive(Clone, Debug, Default)]
pub struct Charsets(pub HashMap<u16, String>);

/// What is known of a column.
#[derive(Clone, Copy, Debug)]
pub struct Of<'c> {
    /// Its type.
    pub kind: ColumnType,
    /// Its collation.
    pub collation: u16,
    /// The words of an enumeration.
    pub words: Option<&'c [String]>,
}

impl Charsets {
    /// Whether these bytes are the text that everybody sees.
    fn is_plain(&self, collation: u16, bytes: &[u8]) -> bool {
        let set = self.0.get(&collation).map_or("", String::as_str);
        match set {
            "utf8" | "utf8mb3" | "utf8mb4" => true,
            // One byte is not one letter of ASCII there.
            "ucs2" | "utf16" | "utf16le" | "utf32" | "swe7" => false,
            _ => bytes.is_ascii(),
        }
    }

    /// A value, as far as it can be told.
    pub fn datum(&self, value: &BinlogValue<'_>, of: Of<'_>) -> Datum {
        use ColumnType::*;
        let BinlogValue::Value(value) = value else {
            return Datum::Unknown;
        };
        let text = |text: String| Datum::Text(text.into());
        match (value, of.kind) {
            (Value::NULL, _) => Datum::Null,
            (Value::Int(index), MYSQL_TYPE_ENUM) => word(*index, of.words),
            (
                Value::Int(number),
                MYSQL_TYPE_TINY | MYSQL_TYPE_SHORT | MYSQL_TYPE_INT24 | MYSQL_TYPE_LONG
                | MYSQL_TYPE_LONGLONG,
            ) => text(number.to_string()),
            (Value::UInt(number), MYSQL_TYPE_LONGLONG) => text(number.to_string()),
            (Value::Bytes(digits), MYSQL_TYPE_NEWDECIMAL | MYSQL_TYPE_YEAR) => {
                Datum::Text(digits.clone().into())
            }
            (
                Value::Bytes(bytes),
                MYSQL_TYPE_VARCHAR
                | MYSQL_TYPE_VAR_STRING
                | MYSQL_TYPE_STRING
                | MYSQL_TYPE_TINY_BLOB
                | MYSQL_TYPE_BLOB
                | MYSQL_TYPE_MEDIUM_BLOB
                | MYSQL_TYPE_LONG_BLOB,
            ) if self.is_plain(of.collation, bytes) => Datum::Text(bytes.clone().into()),
            (Value::Date(year, month, day, ..), MYSQL_TYPE_DATE | MYSQL_TYPE_NEWDATE) => {
                text(format!("{year:04}-{month:02}-{day:02}"))
            }
            (
                Value::Date(year, month, day, hour, minute, second, 0),
                MYSQL_TYPE_DATETIME | MYSQL_TYPE_DATETIME2,
            ) => text(format!(
                "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
            )),
            _ => Datum::Unknown,
        }
    }
}

/// The word of an enumeration; 0 stands for what was no word of it.
fn word(index: i64, words: Option<&[String]>) -> Datum {
    let place = usize::try_from(index).ok().and_then(|it| it.checked_sub(1));
    match place.and_then(|place| words?.get(place)) {
        Some(word) => Datum::Text(word.clone().into()),
        None => Datum::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(value: Value, kind: ColumnType, set: &str) -> Datum {
        let charsets = Charsets(HashMap::from([(7, set.to_owned())]));
        let words = ["a".to_owned(), "b".to_owned()];
        let of = Of {
            kind,
            collation: 7,
            words: Some(&words),
        };
        charsets.datum(&BinlogValue::Value(value), of)
    }

    #[test]
    fn letters_are_told_where_their_bytes_are_what_everybody_sees() {
        let name = |set| {
            let bytes = Value::Bytes("ä".into());
            told(bytes, ColumnType::MYSQL_TYPE_VARCHAR, set)
        };
        assert_eq!(name("utf8mb4"), Datum::Text("ä".into()));
        // The same two bytes are two other letters there.
        assert_eq!(name("latin1"), Datum::Unknown);
        assert_eq!(name("binary"), Datum::Unknown);
        let plain = |set| {
            let bytes = Value::Bytes(b"a\0".to_vec());
            told(bytes, ColumnType::MYSQL_TYPE_STRING, set)
        };
        assert_eq!(plain("latin1"), Datum::Text("a\0".into()));
        assert_eq!(plain("utf16le"), Datum::Unknown);
    }

    #[test]
    fn what_depends_on_more_than_the_row_is_left_out() {
        use ColumnType::*;
        let date = Value::Date(2024, 1, 2, 3, 4, 5, 0);
        let texts = [
            (Value::NULL, MYSQL_TYPE_DOUBLE, Datum::Null),
            (Value::Int(2), MYSQL_TYPE_ENUM, Datum::Text("b".into())),
            (Value::Int(3), MYSQL_TYPE_ENUM, Datum::Unknown),
            (Value::Int(0), MYSQL_TYPE_ENUM, Datum::Unknown),
            (
                date.clone(),
                MYSQL_TYPE_DATE,
                Datum::Text("2024-01-02".into()),
            ),
            (
                date,
                MYSQL_TYPE_DATETIME2,
                Datum::Text("2024-01-02 03:04:05".into()),
            ),
            (
                Value::Bytes(b"1704164645".to_vec()),
                MYSQL_TYPE_TIMESTAMP2,
                Datum::Unknown,
            ),
            (Value::Double(0.1), MYSQL_TYPE_DOUBLE, Datum::Unknown),
            (Value::Bytes(b"1".to_vec()), MYSQL_TYPE_BIT, Datum::Unknown),
        ];
        for (value, kind, expected) in texts {
            assert_eq!(told(value, kind, "utf8mb4"), expected, "{kind:?}");
        }
    }
}
