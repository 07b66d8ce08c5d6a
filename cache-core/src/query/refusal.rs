//! Why the answer of a statement is not cached.

use crate::model::tag::TAGS_MAX;

/// The longest statement, in bytes.
pub const SQL_BYTES_MAX: usize = 64 * 1024;
/// The most operators and keywords in one statement: each may be a level of the tree that
/// the parser makes of it. Values, names and commas do not count.
pub const STEPS_MAX: usize = 1_000;
/// The most joins in one statement.
pub const JOINS_MAX: usize = 64;

/// Why the answer of a statement is not cached: the cause of the error that says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The text is too long, in bytes.
    #[error("it has {0} bytes")]
    TooLong(usize),
    /// It has too many operators, keywords or joins.
    #[error("it has {0} operators and keywords, and {1} joins")]
    TooLarge(usize, usize),
    /// The parser does not understand it.
    #[error("{0}")]
    Unreadable(String),
    /// It is no statement, or several.
    #[error("it is {0} statements")]
    NotOne(usize),
    /// It is no plain read.
    #[error("it is no plain read: {0}")]
    NotARead(&'static str),
    /// Its answer changes though no table does.
    #[error("the answer of {0} changes though no table does")]
    Volatile(String),
    /// It reads too many tables.
    #[error("it reads {0} tables")]
    TooManyTables(usize),
    /// A table's name cannot be known, or is no tag.
    #[error("its table {0} cannot be a tag")]
    Table(String),
}

impl Refusal {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::TooLong(_) => {
                format!("a query has at most {SQL_BYTES_MAX} bytes; bind values as parameters")
            }
            Self::TooLarge(..) => format!(
                "a query has at most {STEPS_MAX} operators and keywords, and {JOINS_MAX} joins"
            ),
            Self::Unreadable(_) => "is it the right dialect?".to_owned(),
            Self::NotOne(_) => "a query is one statement".to_owned(),
            Self::NotARead(_) => "only what changes nothing can be answered by a cache".to_owned(),
            Self::Volatile(_) => {
                "bind the value as a parameter, rounded as coarsely as the answer may be old"
                    .to_owned()
            }
            Self::TooManyTables(_) => format!("an entry has at most {TAGS_MAX} tags"),
            Self::Table(_) => "name the table as `table` or `schema.table`".to_owned(),
        }
    }
}
