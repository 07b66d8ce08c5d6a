//! What an event says: that a row changed, or exactly which keys and tags of a
//! cache are invalid.

use cache_core::model::key::Name;
use cache_core::model::tag::Tag;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// An event that could be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The format it was written in.
    pub format: Format,
    /// What it says: one change, or several where its format carries them together;
    /// never none.
    pub changes: Vec<Change>,
    /// Where the source says that this happened.
    pub place: Place,
}

/// Where the source says that a change happened: all that the event tells, and
/// nothing where its format cannot tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Where its transaction's commit stands in the source's log; the order of these
    /// is the order of commits. TiDB's timestamp of a commit counts as one.
    pub commit_lsn: Option<u64>,
    /// Its number within the transaction.
    pub index: Option<u64>,
    /// Where the change itself stands in the source's log. A transaction that began
    /// to write later may commit earlier, so this orders the changes of one row, and
    /// no more.
    pub lsn: Option<u64>,
    /// When the source committed, in microseconds since the epoch.
    pub commit_us: Option<u64>,
}

/// The formats that are recognised, by their shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// No content at all, as a log compaction's tombstone.
    Empty,
    /// This project's own.
    Native,
    /// Debezium's envelope, with or without its schema, or flattened.
    Debezium,
    /// Sequin's messages.
    Sequin,
    /// wal-listener's events.
    WalListener,
    /// The output of the plugin wal2json, in its version 1 or 2.
    Wal2Json,
    /// pgstream's events.
    Pgstream,
    /// Maxwell's rows.
    Maxwell,
    /// Canal's flat messages, which TiCDC writes as well.
    Canal,
    /// The messages of CockroachDB's changefeeds.
    CockroachDb,
    /// CloudEvents around any of these.
    CloudEvents,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A row, or a whole table, changed.
    Row(RowChange),
    /// The application named what is invalid.
    Named(Named),
    /// Changes may have been lost, of whatever; why.
    Lost(String),
    /// Nothing that a cache could depend on; why.
    Nothing(&'static str),
    /// One change that could not be read, among others that could.
    Malformed(Malformed),
}

/// A change of one row, or of all rows of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange {
    /// The table.
    pub table: TableName,
    /// What was done.
    pub op: Op,
    /// The row before, as far as the event has it. Its absence from an update says
    /// that the columns of the replica identity did not change.
    pub old: Option<Row>,
    /// The row after.
    pub new: Option<Row>,
    /// When the source committed it, in milliseconds since the epoch; for lag only.
    pub changed_ms: Option<u64>,
}

/// What an application named as invalid.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// The cache.
    pub cache: Name,
    /// Keys, each within the limits of a key.
    pub keys: Vec<String>,
    /// Tags.
    pub tags: Vec<Tag>,
    /// When the source changed, in milliseconds since the epoch; for lag only.
    pub changed_ms: Option<u64>,
}

/// Where a row stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableName {
    /// The database, where the source tells it beside the schema.
    pub database: Option<String>,
    /// The schema; for MySQL its database.
    pub schema: String,
    /// The table.
    pub table: String,
}

/// What was done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// It came into being.
    Insert,
    /// It was changed.
    Update,
    /// It went away.
    Delete,
    /// All rows of its table went away.
    Truncate,
    /// It was read by a snapshot: nothing changed.
    Read,
}

/// One image of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    cells: Map<String, Value>,
    /// Columns that the event leaves out because they did not change.
    unchanged: Vec<String>,
    doubt: Doubt,
}

/// What in a row image may stand for a value that the event leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing: what is left out is left out.
    #[default]
    Nothing,
    /// Any null.
    Nulls,
    /// Each null, and each zero or empty value, if the image holds nothing else but the
    /// replica identity.
    Blanks,
}

/// What a row image knows of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell<'r> {
    /// A value, as it stands in a key.
    Text(Cow<'r, str>),
    /// The database's NULL.
    Null,
    /// NULL, or left out: the source writes both alike.
    Doubtful,
    /// Left out, because it is as it was.
    Unchanged,
    /// Left out.
    Absent,
    /// A value that no key can be made of: an object or a list.
    Compound,
}

/// An event that could not be read, and what is known of it nevertheless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Malformed {
    /// What is wrong.
    pub why: String,
    /// The cache that it names.
    pub cache: Option<Name>,
    /// The table that it is about.
    pub table: Option<TableName>,
}

// === impl Format ===

impl Format {
    /// Whether an event may come before every reader sees what it tells of. Who reads a
    /// database's log sees a commit as soon as that stands in it; its readers see it when
    /// the commit is over, which a synchronous replica may hold up.
    pub fn may_be_early(self) -> bool {
        match self {
            // Applications write after their commit, a capture waits for readers, and a
            // changefeed reads what is committed.
            Self::Empty | Self::Native | Self::CockroachDb => false,
            Self::Debezium
            | Self::Sequin
            | Self::WalListener
            | Self::Wal2Json
            | Self::Pgstream
            | Self::Maxwell
            | Self::Canal
            | Self::CloudEvents => true,
        }
    }
}

// === impl Parsed ===

impl Parsed {
    /// An event that says one thing.
    pub fn one(format: Format, change: Change) -> Self {
        Self {
            format,
            changes: vec![change],
            place: Place::default(),
        }
    }

    /// An event that tells of one row.
    pub fn row(format: Format, change: RowChange) -> Self {
        Self::one(format, Change::Row(change))
    }

    /// The same, at this place.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }
}

impl Place {
    /// Whether the event tells nothing about its place.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// The place of two changes that come as one event: the higher in each order, and
    /// nothing where one of them is not known.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let higher = |a: Option<u64>, b: Option<u64>| Some(a?.max(b?));
        Self {
            commit_lsn: higher(self.commit_lsn, other.commit_lsn),
            index: higher(self.index, other.index),
            lsn: higher(self.lsn, other.lsn),
            commit_us: higher(self.commit_us, other.commit_us),
        }
    }

    /// When the source committed, in milliseconds since the epoch.
    pub fn commit_ms(&self) -> Option<u64> {
        self.commit_us.map(|us| us / 1_000)
    }

    /// What is known of it, by name.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let parts = [
            ("commit_lsn", self.commit_lsn),
            ("index", self.index),
            ("lsn", self.lsn),
            ("commit_us", self.commit_us),
        ];
        parts
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
    }
}

// === impl Row ===

impl Row {
    /// An image with these columns, of which the source leaves out `unchanged`.
    pub fn new(cells: Map<String, Value>, unchanged: Vec<String>) -> Self {
        Self {
            cells,
            unchanged,
            doubt: Doubt::Nothing,
        }
    }

    /// An image with these columns, which are all that is known of it.
    pub fn plain(cells: Map<String, Value>) -> Self {
        Self::new(cells, Vec::new())
    }

    /// The same, from a source that writes these for what it leaves out as well.
    #[must_use]
    pub fn doubting(self, doubt: Doubt) -> Self {
        Self { doubt, ..self }
    }

    /// What may stand for a value that is left out.
    pub fn doubt(&self) -> Doubt {
        self.doubt
    }

    /// The columns that hold a value beyond doubt.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        let doubtful = |value: &Value| match self.doubt {
            Doubt::Blanks => is_blank(value),
            Doubt::Nothing | Doubt::Nulls => value.is_null(),
        };
        let values = self.cells.iter().filter(move |(_, value)| !doubtful(value));
        values.map(|(column, _)| column.as_str())
    }

    /// What is known of a column. Numbers stay as they are written, because a
    /// detour over floating point changes integers beyond 2^53.
    pub fn cell(&self, column: &str) -> Cell<'_> {
        match self.cells.get(column) {
            Some(Value::String(text)) => Cell::Text(Cow::Borrowed(text)),
            Some(Value::Number(number)) => Cell::Text(Cow::Owned(number.to_string())),
            Some(Value::Bool(flag)) => Cell::Text(Cow::Borrowed(match flag {
                true => "true",
                false => "false",
            })),
            Some(Value::Null) if self.doubt == Doubt::Nulls => Cell::Doubtful,
            Some(Value::Null) => Cell::Null,
            Some(Value::Array(_) | Value::Object(_)) => Cell::Compound,
            None if self.unchanged.iter().any(|name| name == column) => Cell::Unchanged,
            None => Cell::Absent,
        }
    }

    /// Whether a column is the same here and in `old`; `None` if one of them does
    /// not know it.
    pub fn keeps(&self, old: &Self, column: &str) -> Option<bool> {
        if self.cell(column) == Cell::Unchanged {
            return Some(true);
        }
        let doubtful = |row: &Self| row.cell(column) == Cell::Doubtful;
        if doubtful(self) || doubtful(old) {
            return None;
        }
        Some(self.cells.get(column)? == old.cells.get(column)?)
    }
}

/// What stands for a value of a column that may not be NULL, where there is none.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        // A decimal of no value, an empty document, and the epoch.
        Value::String(text) => ["", "AA==", "{}", "1970-01-01T00:00:00Z"].contains(&text.as_str()),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
    }
}

// === impl Malformed ===

impl Malformed {
    /// An event of which nothing else is known.
    pub fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            cache: None,
            table: None,
        }
    }

    /// The same, about this cache.
    #[must_use]
    pub fn of_cache(self, cache: &Name) -> Self {
        Self {
            cache: Some(cache.clone()),
            ..self
        }
    }

    /// The same, about this table.
    #[must_use]
    pub fn of_table(self, table: &TableName) -> Self {
        Self {
            table: Some(table.clone()),
            ..self
        }
    }
}

// === the words for people and labels ===

impl Op {
    /// The word that rules and metrics use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
            Self::Read => "read",
        }
    }
}

impl Format {
    /// The word that people read, and write into a rules file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Native => "native",
            Self::Debezium => "debezium",
            Self::Sequin => "sequin",
            Self::WalListener => "wal-listener",
            Self::Wal2Json => "wal2json",
            Self::Pgstream => "pgstream",
            Self::Maxwell => "maxwell",
            Self::Canal => "canal",
            Self::CockroachDb => "cockroachdb",
            Self::CloudEvents => "cloudevents",
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(database) = &self.database {
            write!(f, "{database}.")?;
        }
        write!(f, "{}.{}", self.schema, self.table)
    }
}

#[cfg(test)]
mod tests;
