//! A statement as its words: one spelling for all that only look different, and a shape
//! without values for people.

use sha2::{Digest, Sha256};
use sqlparser::dialect;
use sqlparser::tokenizer::{Token, Whitespace, Word};
use std::fmt::Write;

/// The database that a statement is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
    /// Any other: what nearly all databases have in common.
    Generic,
}

/// Words that are never names in any dialect, so that their case says nothing. Any other
/// word may be the label of a column, which MySQL answers as it was written.
const RESERVED: [&str; 42] = [
    "ALL",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CROSS",
    "DESC",
    "DISTINCT",
    "ELSE",
    "EXCEPT",
    "EXISTS",
    "FALSE",
    "FROM",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INTERSECT",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NATURAL",
    "NOT",
    "NULL",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "RECURSIVE",
    "RIGHT",
    "SELECT",
    "THEN",
    "TRUE",
    "UNION",
    "USING",
    "WHEN",
    "WHERE",
    "WITH",
];

/// How many values a list shows in a shape: one mark, however many there are.
const LIST: &str = "(...)";

impl Dialect {
    pub(crate) fn parser(self) -> &'static dyn dialect::Dialect {
        match self {
            Self::Postgres => &dialect::PostgreSqlDialect {},
            Self::MySql => &dialect::MySqlDialect {},
            Self::Generic => &dialect::GenericDialect {},
        }
    }

    /// A word in the one spelling that it has.
    fn word(self, word: &Word) -> String {
        if word.quote_style.is_some() {
            return word.value.clone();
        }
        let upper = word.value.to_ascii_uppercase();
        match self {
            _ if RESERVED.binary_search(&upper.as_str()).is_ok() => upper.to_ascii_lowercase(),
            // PostgreSQL folds every name that has no quotes, labels too.
            Self::Postgres => word.value.to_ascii_lowercase(),
            Self::MySql | Self::Generic => word.value.clone(),
        }
    }
}

/// Whether a token says nothing to the database.
pub(crate) fn is_space(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_) | Token::EOF)
}

/// The text of a comment that a database heeds.
pub(crate) fn hint(token: &Token) -> Option<String> {
    match token {
        Token::Whitespace(Whitespace::MultiLineComment(text)) => {
            let hint = text.strip_prefix('+')?;
            Some(hint.trim().to_owned())
        }
        _ => None,
    }
}

/// The hash of a statement in its one spelling, to which the parameters are yet to come.
///
/// The values of literals stay in their places. Beside a shape, in a list, they would say
/// the same for `a IN (1, 2) AND b IN (3)` and `a IN (1) AND b IN (2, 3)`.
///
/// Hints count: `/*+ SET_VAR(time_zone = ...) */` makes another answer.
pub(crate) fn hash(tokens: &[Token], hints: &[String], dialect: Dialect) -> Sha256 {
    let mut hash = Sha256::new();
    hash.update([1, dialect as u8]);
    let mut add = |kind: u8, text: &str| {
        hash.update([kind]);
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    hints.iter().for_each(|hint| add(b'h', hint));
    for token in tokens {
        match token {
            Token::Word(word) if word.quote_style.is_some() => add(b'q', &dialect.word(word)),
            Token::Word(word) => add(b'w', &dialect.word(word)),
            Token::Placeholder(name) => add(b'p', name),
            other if is_literal(other) => add(b'l', &format!("{other:?}")),
            other => add(b't', &other.to_string()),
        }
    }
    hash
}

/// The statement for people: without its values, and with one mark for a list of any length.
pub(crate) fn shape(tokens: &[Token], dialect: Dialect) -> String {
    let mut shape = String::new();
    let mut at = 0;
    let mut before = None;
    while let Some(token) = tokens.get(at) {
        if needs_space(before, token) {
            shape.push(' ');
        }
        if before.is_some_and(|before| is_word(before, "IN"))
            && let Some(length) = list_length(&tokens[at..])
        {
            shape.push_str(LIST);
            at += length;
            before = Some(&Token::RParen);
            continue;
        }
        // Writing to a String cannot fail.
        let _ = match token {
            Token::Word(word) => match word.quote_style {
                Some(quote) => write!(shape, "{quote}{}{quote}", word.value),
                None => write!(shape, "{}", dialect.word(word)),
            },
            other if is_literal(other) => write!(shape, "?"),
            other => write!(shape, "{other}"),
        };
        before = Some(token);
        at += 1;
    }
    shape
}

/// How many tokens a list of nothing but values has, with its brackets.
fn list_length(tokens: &[Token]) -> Option<usize> {
    let (Token::LParen, inside) = tokens.split_first()? else {
        return None;
    };
    let end = inside.iter().position(|token| *token == Token::RParen)?;
    let is_value = |token: &Token| {
        is_literal(token)
            || matches!(
                token,
                Token::Placeholder(_) | Token::Comma | Token::Minus | Token::Plus
            )
    };
    (end > 0 && inside[..end].iter().all(is_value)).then_some(end + 2)
}

fn needs_space(before: Option<&Token>, token: &Token) -> bool {
    let Some(before) = before else { return false };
    let glued = matches!(token, Token::Comma | Token::RParen | Token::Period);
    let call = matches!((before, token), (Token::Word(word), Token::LParen)
        if word.keyword == sqlparser::keywords::Keyword::NoKeyword);
    !(glued || call || matches!(before, Token::LParen | Token::Period))
}

pub(crate) fn is_word(token: &Token, text: &str) -> bool {
    matches!(token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
}

/// Whether a token is a value.
pub(crate) fn is_literal(token: &Token) -> bool {
    use Token::{
        DollarQuotedString, DoubleQuotedByteStringLiteral, DoubleQuotedRawStringLiteral,
        DoubleQuotedString, EscapedStringLiteral, HexStringLiteral,
        NationalQuoteDelimitedStringLiteral, NationalStringLiteral, Number,
        QuoteDelimitedStringLiteral, SingleQuotedByteStringLiteral, SingleQuotedRawStringLiteral,
        SingleQuotedString, TripleDoubleQuotedByteStringLiteral,
        TripleDoubleQuotedRawStringLiteral, TripleDoubleQuotedString,
        TripleSingleQuotedByteStringLiteral, TripleSingleQuotedRawStringLiteral,
        TripleSingleQuotedString, UnicodeStringLiteral,
    };
    matches!(
        token,
        Number(..)
            | SingleQuotedString(_)
            | DoubleQuotedString(_)
            | TripleSingleQuotedString(_)
            | TripleDoubleQuotedString(_)
            | DollarQuotedString(_)
            | SingleQuotedByteStringLiteral(_)
            | DoubleQuotedByteStringLiteral(_)
            | TripleSingleQuotedByteStringLiteral(_)
            | TripleDoubleQuotedByteStringLiteral(_)
            | SingleQuotedRawStringLiteral(_)
            | DoubleQuotedRawStringLiteral(_)
            | TripleSingleQuotedRawStringLiteral(_)
            | TripleDoubleQuotedRawStringLiteral(_)
            | NationalStringLiteral(_)
            | QuoteDelimitedStringLiteral(_)
            | NationalQuoteDelimitedStringLiteral(_)
            | EscapedStringLiteral(_)
            | UnicodeStringLiteral(_)
            | HexStringLiteral(_)
    )
}
