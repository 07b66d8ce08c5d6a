//! A configuration as it is in effect, for people: what was given, by whom, and what the
//! rest is taken for.

use crate::config::report::without_logins;
use std::fmt;
use toml::de::DeValue;

/// Every key of a file that was read, in the order in which it was asked for. Its text is
/// TOML again, which means the same; passwords within addresses are left out of it.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    tables: Vec<Table>,
}

/// Which table of [`Shown`].
#[derive(Clone, Copy, Debug)]
pub struct TableId(usize);

/// One key and what is in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What it is, as TOML writes it; nothing where that is not one value.
    pub value: Option<String>,
    /// Who says so.
    pub by: By,
}

/// Who says what a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The file.
    File,
    /// The environment, or an argument.
    Outside,
    /// Nobody.
    Default,
}

#[derive(Clone, Debug)]
struct Table {
    header: String,
    keys: Vec<Key>,
}

impl Shown {
    /// A table by its title, as in `[l2]` or `[[cache]] 2`.
    pub fn open(&mut self, title: &str) -> TableId {
        let ends = title.rfind(']').map_or(0, |at| at + 1);
        self.tables.push(Table {
            header: title[..ends].to_owned(),
            keys: Vec::new(),
        });
        TableId(self.tables.len() - 1)
    }

    /// The file says what a key is.
    pub fn given(&mut self, table: TableId, name: &'static str, value: &DeValue<'_>) {
        self.set(table, name, Some(written(value)), By::File);
    }

    /// It is said from outside.
    pub fn from_outside(&mut self, table: TableId, name: &'static str, value: &DeValue<'_>) {
        self.set(table, name, Some(written(value)), By::Outside);
    }

    /// It is no key after all: what it names is shown as a table.
    pub fn forget(&mut self, table: TableId, name: &'static str) {
        self.tables[table.0].keys.retain(|key| key.name != name);
    }

    /// Nobody says it.
    pub fn unset(&mut self, table: TableId, name: &'static str) {
        self.set(table, name, None, By::Default);
    }

    /// Nobody says it, so it is this.
    pub fn by_default(&mut self, table: TableId, name: &'static str, value: String) {
        self.set(table, name, Some(value), By::Default);
    }

    /// The tables: how each is headed, which is nothing for the top of the file, and its keys.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &[Key])> {
        let tables = self.tables.iter();
        tables.map(|table| (table.header.as_str(), table.keys.as_slice()))
    }

    fn set(&mut self, table: TableId, name: &'static str, value: Option<String>, by: By) {
        let keys = &mut self.tables[table.0].keys;
        let key = Key { name, value, by };
        match keys.iter_mut().find(|key| key.name == name) {
            Some(known) => *known = key,
            None => keys.push(key),
        }
    }
}

/// As TOML writes it, without logins: they are looked for before quotes and escapes are put
/// around them.
fn written(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => toml::Value::String(without_logins(text, hidden)).to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(all) => {
            let all: Vec<_> = all.iter().map(|one| written(one.get_ref())).collect();
            format!("[{}]", all.join(", "))
        }
        // A table is refused wherever a key is asked for.
        DeValue::Table(_) => "{}".to_owned(),
    }
}

/// Their number would tell how long it is.
fn hidden(login: &str) -> String {
    let stars = if login.is_empty() { "" } else { "***" };
    stars.to_owned()
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (header, keys)) in self.tables().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            if !header.is_empty() {
                writeln!(f, "{header}")?;
            }
            for Key { name, value, by } in keys {
                match (value, by) {
                    (None, _) => writeln!(f, "# {name}: not set")?,
                    (Some(value), By::File) => writeln!(f, "{name} = {value}")?,
                    (Some(value), By::Outside) => writeln!(f, "{name} = {value}  # from outside")?,
                    // Some defaults are refused where they are said of what has no use for them.
                    (Some(value), By::Default) => writeln!(f, "# {name} = {value}  (default)")?,
                }
            }
        }
        Ok(())
    }
}
