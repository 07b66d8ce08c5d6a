//! Query results: a key and tags made from the text of a SQL statement.
//!
//! A [`Query`] is parsed once, and bound to parameters as often as it is asked. Its key is the
//! same for every spelling of the statement, and its tags are the tables that it reads, so
//! that a rule of the invalidator that makes a tag of a table's name invalidates the answers
//! of all queries that read it, and of no others.

pub mod param;
pub mod refusal;
pub mod spelling;
pub(crate) mod tables;
pub(crate) mod volatile;

use crate::error::{Error, Kind};
use crate::model::tag::{TAGS_MAX, Tag};
use crate::model::template::KeyTemplate;
use param::{Encoded, Param};
use refusal::{JOINS_MAX, Refusal, SQL_BYTES_MAX, STEPS_MAX};
use sha2::{Digest, Sha256};
use spelling::Dialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};
use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// The template of a table's tag.
const TAG: &str = "table:{table}";
/// Nested queries and calls, as the parser counts them.
const DEPTH_MAX: usize = 50;
/// Four times what the largest trees within the limits need without optimisation.
const STACK_BYTES: usize = 32 * 1024 * 1024;
/// How much of a statement an error shows, in characters.
const SHOWN_MAX: usize = 200;
const KEY_BYTES: usize = 4 + 16 + 1 + 32;

/// A statement whose answers are cached. Clones share it.
///
/// ```
/// use cache_core::query::{Query, spelling::Dialect};
/// let query = Query::parse("SELECT name FROM users WHERE id = $1", Dialect::Postgres)?;
/// let same = Query::parse("select name from Users\nwhere id=$1;", Dialect::Postgres)?;
/// assert_eq!(query.key(&[&7]), same.key(&[&7]));
/// assert_ne!(query.key(&[&7]), query.key(&[&8]));
/// assert_eq!(query.tags()[0].as_str(), "table:users");
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Query {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    shape: String,
    digest: u64,
    hash: Sha256,
    tags: Vec<Tag>,
}

/// The key of a query's answer: `sql:`, the digest of its shape, and a hash of the statement
/// and its parameters.
///
/// The hash is cryptographic: a parameter that a stranger chooses cannot lead to the answer
/// of another query.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct QueryKey([u8; KEY_BYTES]);

/// What one parse finds.
struct Parsed {
    hash: Sha256,
    tables: Vec<String>,
}

impl Query {
    /// Parses a statement, which costs about as much as a database takes to parse it: do it
    /// once, not at each call.
    ///
    /// # Errors
    /// [`Kind::Invalid`] because of a [`Refusal`]: for text that the parser does not
    /// understand, for anything but one plain read, for clocks, chance, sequences and
    /// whatever else changes by itself, and beyond the limits.
    pub fn parse(sql: &str, dialect: Dialect) -> Result<Self, Error> {
        if sql.len() > SQL_BYTES_MAX {
            let shown = format!("a text of {} bytes", sql.len());
            return Err(refuse(shown, Refusal::TooLong(sql.len())));
        }
        let (shape, parsed) = apart(sql.to_owned(), dialect);
        let shown = || shape.chars().take(SHOWN_MAX).collect::<String>();
        let parsed = parsed.map_err(|refusal| refuse(shown(), refusal))?;
        let tags = parsed.tables.iter().map(|table| tag(table));
        let tags = tags.collect::<Result<_, _>>()?;
        let inner = Arc::new(Inner {
            digest: xxh3_64(shape.as_bytes()),
            shape,
            hash: parsed.hash,
            tags,
        });
        Ok(Self { inner })
    }

    /// The same, reading one more table: `table` or `schema.table`. For what the text does
    /// not show: the tables behind a view or a function.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a name that is no tag, and for more tags than an entry may have.
    pub fn also_reads(mut self, table: &str) -> Result<Self, Error> {
        let parts: Vec<_> = table.split('.').collect();
        let tag = tag(&tables::name_of(&parts))?;
        if !self.inner.tags.contains(&tag) {
            let count = self.inner.tags.len() + 1;
            if count > TAGS_MAX {
                let refusal = Refusal::TooManyTables(count);
                return Err(refuse(self.inner.shape.clone(), refusal));
            }
            Arc::make_mut(&mut self.inner).tags.push(tag);
        }
        Ok(self)
    }

    /// The key of its answer for these parameters, in the order in which they are bound.
    pub fn key(&self, params: &[&dyn Param]) -> QueryKey {
        let mut encoded = Encoded::default();
        encoded.list(params.len());
        params.iter().for_each(|param| param.add_to(&mut encoded));
        let hash = self.inner.hash.clone();
        let hash = hash.chain_update(encoded.as_bytes()).finalize();
        QueryKey::new(self.inner.digest, &hash)
    }

    /// A tag for each table that it reads: `table:users`, or `table:public.users` if the
    /// statement says so; in lower case.
    pub fn tags(&self) -> Vec<Tag> {
        self.inner.tags.clone()
    }

    /// The statement without its values, for logs and metrics: lists of values of any length
    /// look alike.
    pub fn shape(&self) -> &str {
        &self.inner.shape
    }
}

/// The limits that hold before the parser begins.
fn check(tokens: &[Token], dialect: Dialect) -> Result<(), Refusal> {
    let is_step = |token: &&Token| match token {
        Token::Word(word) => word.keyword != sqlparser::keywords::Keyword::NoKeyword,
        Token::Comma | Token::Period | Token::LParen | Token::RParen => false,
        Token::Placeholder(_) => false,
        other => !spelling::is_literal(other),
    };
    let steps = tokens.iter().filter(is_step).count();
    let is_join = |token: &&Token| spelling::is_word(token, "JOIN");
    let joins = tokens.iter().filter(is_join).count();
    if steps > STEPS_MAX || joins > JOINS_MAX {
        return Err(Refusal::TooLarge(steps, joins));
    }
    // MySQL's variables: each session has its own.
    let variable = tokens.iter().find_map(|token| match token {
        Token::Word(word) if word.value.starts_with('@') => Some(word.value.clone()),
        Token::AtSign | Token::AtAt => Some("a variable".to_owned()),
        _ => None,
    });
    match (dialect, variable) {
        (Dialect::MySql, Some(variable)) => Err(Refusal::Volatile(variable)),
        _ => Ok(()),
    }
}

/// Reads on a thread with a stack of its own: the parser goes as deep as the text says, and
/// a stack that overflows ends the process.
fn apart(sql: String, dialect: Dialect) -> (String, Result<Parsed, Refusal>) {
    let failed = |why: String| {
        let unread = "a text that nobody could read".to_owned();
        (unread, Err(Refusal::Unreadable(why)))
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    match thread.spawn(move || read(&sql, dialect)) {
        Err(error) => failed(format!("there is no thread for it: {error}")),
        Ok(reading) => {
            let read = reading.join();
            read.unwrap_or_else(|_| failed("the parser panicked".to_owned()))
        }
    }
}

/// The shape of a statement, as far as it has one, and what else is to be known.
fn read(sql: &str, dialect: Dialect) -> (String, Result<Parsed, Refusal>) {
    // What is between quotes stays as it is written: no two texts become one.
    let mut words = Tokenizer::new(dialect.parser(), sql).with_unescape(false);
    let mut tokens = match words.tokenize() {
        Ok(tokens) => tokens,
        Err(error) => {
            let unread = format!("a text of {} bytes", sql.len());
            return (unread, Err(Refusal::Unreadable(error.to_string())));
        }
    };
    let hints: Vec<_> = tokens.iter().filter_map(spelling::hint).collect();
    tokens.retain(|token| !spelling::is_space(token));
    while tokens.last() == Some(&Token::SemiColon) {
        tokens.pop();
    }
    let shape = spelling::shape(&tokens, dialect);
    let parsed = check(&tokens, dialect).and_then(|()| parse(tokens, &hints, dialect));
    (shape, parsed)
}

fn parse(tokens: Vec<Token>, hints: &[String], dialect: Dialect) -> Result<Parsed, Refusal> {
    let hash = spelling::hash(&tokens, hints, dialect);
    let mut parser = Parser::new(dialect.parser())
        .with_recursion_limit(DEPTH_MAX)
        .with_tokens(tokens);
    let statements = parser
        .parse_statements()
        .map_err(|error| Refusal::Unreadable(error.to_string()))?;
    let [statement] = &statements[..] else {
        return Err(Refusal::NotOne(statements.len()));
    };
    let tables = tables::read(statement, dialect)?;
    match tables.len() {
        count if count > TAGS_MAX => Err(Refusal::TooManyTables(count)),
        _ => Ok(Parsed { hash, tables }),
    }
}

/// By the engine of the rules, so that both write a name alike.
fn tag(table: &str) -> Result<Tag, Error> {
    let refused = || refuse(table.to_owned(), Refusal::Table(table.to_owned()));
    let text = KeyTemplate::new(TAG)?.render(&[("table", &table)])?;
    Tag::new(text).map_err(|_| refused())
}

fn refuse(shown: String, refusal: Refusal) -> Error {
    let hint = refusal.hint();
    let error = Error::new(Kind::Invalid, "reading a query", shown);
    error.hint(hint).because(refusal)
}

impl QueryKey {
    fn new(digest: u64, hash: &[u8]) -> Self {
        let mut key = [0; KEY_BYTES];
        key[..4].copy_from_slice(b"sql:");
        hex(&digest.to_be_bytes(), &mut key[4..20]);
        key[20] = b':';
        hex(&hash[..16], &mut key[21..]);
        Self(key)
    }
}

fn hex(bytes: &[u8], into: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(into.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

impl AsRef<[u8]> for QueryKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for QueryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for QueryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueryKey({self})")
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("shape", &self.inner.shape)
            .field("tags", &self.inner.tags)
            .finish_non_exhaustive()
    }
}
