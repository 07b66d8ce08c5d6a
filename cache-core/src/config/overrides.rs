//! Values from outside in place of those in a file: addresses differ from place to place,
//! and those with a password do not belong in a file.

use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One value that takes the place of the file's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The table at the top of the file; empty for a key of no table.
    pub table: Cow<'static, str>,
    /// The key in it.
    pub key: Cow<'static, str>,
    /// The value.
    pub value: Given,
}

/// A value given from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// A string, and where something else is asked for, its text: `true`, `7`, or the elements
    /// of a list between commas.
    Text(String),
    /// A list of strings.
    List(Vec<String>),
}

impl Override {
    /// This string in place of a key's.
    pub fn text(table: &'static str, key: &'static str, text: impl Into<String>) -> Self {
        Self::of(table, key, Given::Text(text.into()))
    }

    /// This value in place of a key's.
    pub fn of(table: &'static str, key: &'static str, value: Given) -> Self {
        Self {
            table: table.into(),
            key: key.into(),
            value,
        }
    }

    /// What variables say that are named like `PREFIX__L2__TIMEOUT`, which is `timeout` in
    /// `[l2]`, or `PREFIX__START`, which is in no table. Tables within tables and those of
    /// which there may be several are the file's alone.
    pub fn named(prefix: &str, variables: impl IntoIterator<Item = (String, String)>) -> Vec<Self> {
        let read = |(name, value): (String, String)| {
            let path = name.strip_prefix(prefix)?.strip_prefix("__")?;
            let path = path.to_ascii_lowercase();
            let (table, key) = path.split_once("__").unwrap_or(("", &path));
            Some(Self {
                table: table.to_owned().into(),
                key: key.to_owned().into(),
                value: Given::Text(value),
            })
        };
        let mut all: Vec<_> = variables.into_iter().filter_map(read).collect();
        all.sort_by(|a, b| (&a.table, &a.key).cmp(&(&b.table, &b.key)));
        all
    }
}

impl Given {
    /// The list that `text` separates by commas.
    pub fn list(text: &str) -> Self {
        Self::List(parts(text).map(str::to_owned).collect())
    }
}

/// What is between the commas.
pub fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

/// Puts the values where the file has, or would have, them. Their place is `at`,
/// which lies outside the file. Gives back those that there is no single place for.
pub fn apply<'t>(
    file: &mut DeTable<'t>,
    overrides: &'t [Override],
    at: usize,
) -> Vec<&'t Override> {
    let mut nowhere = Vec::new();
    let place = |value| Spanned::new(at..at, value);
    let text = |text: &'t str| place(DeValue::String(Cow::Borrowed(text)));
    for given in overrides {
        let value = match &given.value {
            Given::Text(one) => text(one),
            Given::List(all) => place(DeValue::Array(all.iter().map(|one| text(one)).collect())),
        };
        let name = |name: &'t str| Spanned::new(at..at, Cow::Borrowed(name));
        if given.table.is_empty() {
            file.insert(name(&given.key), value);
            continue;
        }
        let table = file
            .entry(name(&given.table))
            .or_insert_with(|| place(DeValue::Table(DeTable::new())));
        match table.get_mut() {
            DeValue::Table(table) => {
                table.insert(name(&given.key), value);
            }
            _ => nowhere.push(given),
        }
    }
    nowhere
}
