//! Which tables a rule is about: `public.users`, `public.*`, `shop.public.order_*`.

use crate::change::TableName;
use std::fmt;

/// A pattern for tables: `[database.]schema.table`, with `*` for any characters
/// within one part. Without a database it fits every database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePattern {
    text: String,
    database: Option<Glob>,
    schema: Glob,
    table: Glob,
}

/// The literal pieces between the stars of one part; a star stands between every
/// two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Glob(Vec<String>);

impl TablePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What to write instead, for people.
    pub fn new(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split('.').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(format!("`{text}` has an empty part; write schema.table"));
        }
        let (database, schema, table) = match parts[..] {
            [schema, table] => (None, schema, table),
            [database, schema, table] => (Some(Glob::new(database)), schema, table),
            [table] => {
                return Err(format!(
                    "`{table}` does not name the schema; write public.{table}, or *.{table} for any"
                ));
            }
            _ => return Err(format!("`{text}` is not [database.]schema.table")),
        };
        Ok(Self {
            text: text.to_owned(),
            database,
            schema: Glob::new(schema),
            table: Glob::new(table),
        })
    }

    /// Whether the pattern fits a table.
    pub fn fits(&self, name: &TableName) -> bool {
        let database = match (&self.database, &name.database) {
            (None, _) => true,
            (Some(glob), Some(database)) => glob.fits(database),
            (Some(_), None) => false,
        };
        database && self.schema.fits(&name.schema) && self.table.fits(&name.table)
    }

    /// The text it was read from.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for TablePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Glob {
    fn new(text: &str) -> Self {
        Self(text.split('*').map(str::to_owned).collect())
    }

    /// Takes each piece at its first place: with stars alone as wildcards, a later
    /// place never helps.
    fn fits(&self, text: &str) -> bool {
        let [first, rest @ ..] = &self.0[..] else {
            return false;
        };
        let Some((last, middle)) = rest.split_last() else {
            return first == text;
        };
        let Some(mut text) = text.strip_prefix(first.as_str()) else {
            return false;
        };
        for piece in middle {
            match text.find(piece.as_str()) {
                Some(at) => text = &text[at + piece.len()..],
                None => return false,
            }
        }
        text.ends_with(last.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, database: Option<&str>, schema: &str, table: &str) -> bool {
        TablePattern::new(pattern).unwrap().fits(&TableName {
            database: database.map(str::to_owned),
            schema: schema.to_owned(),
            table: table.to_owned(),
        })
    }

    #[test]
    fn parts_are_compared_one_by_one() {
        assert!(fits("public.users", Some("shop"), "public", "users"));
        assert!(fits("public.users", None, "public", "users"));
        assert!(!fits("public.users", None, "private", "users"));
        assert!(fits("shop.public.users", Some("shop"), "public", "users"));
        assert!(!fits("shop.public.users", Some("other"), "public", "users"));
        assert!(!fits("shop.public.users", None, "public", "users"));
    }

    #[test]
    fn stars_stay_within_their_part() {
        assert!(fits("*.users", None, "public", "users"));
        assert!(fits("public.order_*", None, "public", "order_items"));
        assert!(fits("public.*_20*_x", None, "public", "log_2024_x"));
        assert!(!fits("public.a*a", None, "public", "a"));
        assert!(fits("public.a*a", None, "public", "aa"));
        assert!(!fits("public.a*b*c", None, "public", "acb"));
        assert!(!fits("public.*", None, "private", "x"));
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (bad, why) in [
            ("users", "write public.users, or *.users"),
            ("a.b.c.d", "is not [database.]schema.table"),
            ("public.", "empty part"),
            ("", "empty part"),
        ] {
            let error = TablePattern::new(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_star_for_any_piece_of_a_name_fits_it(name in "[a-c]{1,8}", a in 0usize..9, b in 0usize..9) {
            let (a, b) = (a.min(b).min(name.len()), a.max(b).min(name.len()));
            let pattern = format!("s.{}*{}", &name[..a], &name[b..]);
            prop_assert!(fits(&pattern, None, "s", &name));
        }
    }
}
