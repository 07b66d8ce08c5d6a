//! Proof before production: what a database's catalog says of the rules.
//!
//! A rule over a column whose old value no event will have leaves the old key cached. The
//! catalog knows it beforehand: the replica identity of each table says which old values
//! PostgreSQL writes into its log, and the publications say which changes it sends.
//!
//! [`read`] asks the database, [`judge`] compares, [`report`] tells.

pub mod judge;
pub mod read;
pub mod report;

/// A table, as far as its changes matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// Which old values its changes have.
    pub identity: Identity,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Whether its changes are in no log at all.
    pub is_unlogged: bool,
    /// Whether it is made of partitions.
    pub is_partitioned: bool,
    /// The publications that it is in.
    pub publications: Vec<Publication>,
}

/// Which old values the changes of a table have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// None: PostgreSQL refuses updates and deletes of a table that is published.
    Nothing,
    /// Those of some columns, usually the primary key's.
    Key,
    /// All.
    Full,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Whether it belongs to the key of [`Identity::Key`].
    pub is_identity: bool,
}

/// A publication, as far as it is about one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Its name.
    pub name: String,
    /// The columns that it sends.
    pub columns: Vec<String>,
    /// Whether it leaves out rows.
    pub has_filter: bool,
    /// Whether it leaves out some kind of change.
    pub is_partial: bool,
}
