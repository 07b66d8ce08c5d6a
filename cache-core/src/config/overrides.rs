//! Values from the environment in place of those in a file: addresses differ from
//! place to place, and those with a password do not belong in a file.

use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One value that takes the place of the file's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The table at the top of the file.
    pub table: &'static str,
    /// The key in it.
    pub key: &'static str,
    /// The value: a string, or a list of strings.
    pub value: Given,
}

/// A value given from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// A string.
    Text(String),
    /// A list of strings.
    List(Vec<String>),
}

impl Given {
    /// The list that `text` separates by commas.
    pub fn list(text: &str) -> Self {
        Self::List(text.split(',').map(|one| one.trim().to_owned()).collect())
    }
}

/// Puts the values where the file has, or would have, them. Their place is `at`,
/// which lies outside the file.
pub fn apply(file: &mut DeTable<'_>, overrides: &[Override], at: usize) {
    for given in overrides {
        let place = |value| Spanned::new(at..at, value);
        let text = |text: &String| place(DeValue::String(Cow::Owned(text.clone())));
        let value = match &given.value {
            Given::Text(one) => text(one),
            Given::List(all) => place(DeValue::Array(all.iter().map(text).collect())),
        };
        let name = |name: &'static str| Spanned::new(at..at, Cow::Borrowed(name));
        let table = file
            .entry(name(given.table))
            .or_insert_with(|| place(DeValue::Table(DeTable::new())));
        // Anything else under the table's name is an error that the reader reports.
        if let DeValue::Table(table) = table.get_mut() {
            table.insert(name(given.key), value);
        }
    }
}
