//! Statements in the binary log: what they do to rows without telling any.

use sqlparser::dialect::MySqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

/// What a statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A transaction begins.
    Begin,
    /// A transaction ends.
    End,
    /// Nothing to rows, or nothing that they do not tell themselves.
    Nothing,
    /// Every row of these tables may have changed: database and name.
    Tables(Vec<(String, String)>),
    /// Nobody can say which rows changed; why.
    Unknown(&'static str),
}

/// Reads a statement that ran in the database `current`.
pub fn effect(statement: &str, current: &str) -> Effect {
    // In the place of what this reader of the log would not understand stands a remark
    // of the same length, or of none.
    if statement.is_empty() || statement.starts_with('#') {
        return Effect::Nothing;
    }
    let Ok(tokens) = Tokenizer::new(&MySqlDialect {}, statement).tokenize() else {
        return Effect::Unknown("a statement that cannot be read");
    };
    let is_space = |token: &Token| matches!(token, Token::Whitespace(_));
    let tokens: Vec<_> = tokens
        .into_iter()
        .filter(|token| !is_space(token))
        .collect();
    let mut words = Words {
        rest: &tokens,
        current,
    };
    let first = words.word().unwrap_or_default();
    match first.as_str() {
        "BEGIN" => Effect::Begin,
        "COMMIT" | "ROLLBACK" if !words.take("TO") => Effect::End,
        "START" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "SET" | "GRANT" | "REVOKE" | "FLUSH"
        | "ANALYZE" | "OPTIMIZE" | "REPAIR" | "CHECK" | "LOCK" | "UNLOCK" | "USE" => {
            Effect::Nothing
        }
        "XA" if words.take("COMMIT") => Effect::Unknown("an XA transaction was committed"),
        "XA" => Effect::Nothing,
        "TRUNCATE" => {
            words.take("TABLE");
            words.tables(false)
        }
        "DROP" if words.take("TABLE") => words.tables(false),
        "DROP" if words.take("DATABASE") || words.take("SCHEMA") => {
            Effect::Unknown("a database was dropped")
        }
        "DROP" => Effect::Nothing,
        "ALTER" => match words.skip_to("TABLE") {
            true => words.tables(true),
            false => Effect::Nothing,
        },
        "RENAME" if words.take("TABLE") || words.take("TABLES") => words.tables(false),
        "RENAME" => Effect::Nothing,
        "CREATE" if words.take("OR") && words.skip_to("TABLE") => words.tables(true),
        "CREATE" => Effect::Nothing,
        _ => Effect::Unknown("a statement changed rows and was not logged as rows"),
    }
}

struct Words<'t> {
    rest: &'t [Token],
    current: &'t str,
}

impl Words<'_> {
    /// The next word, in capitals.
    fn word(&mut self) -> Option<String> {
        let (first, rest) = self.rest.split_first()?;
        let Token::Word(word) = first else {
            return None;
        };
        self.rest = rest;
        Some(word.value.to_uppercase())
    }

    /// Takes the next word if it is this one.
    fn take(&mut self, wanted: &str) -> bool {
        let is_it = matches!(self.rest.first(), Some(Token::Word(word))
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted));
        if is_it {
            self.rest = &self.rest[1..];
        }
        is_it
    }

    /// Goes behind the first such word among the next few, if it is one of them.
    fn skip_to(&mut self, wanted: &str) -> bool {
        let is_it = |token: &Token| {
            matches!(token, Token::Word(word)
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
        };
        let found = self.rest.iter().take(4).position(is_it);
        if let Some(place) = found {
            self.rest = &self.rest[place + 1..];
        }
        found.is_some()
    }

    /// The tables that are named here: one, or all that follow.
    fn tables(&mut self, one: bool) -> Effect {
        if self.take("IF") {
            self.take("NOT");
            self.take("EXISTS");
        }
        let mut tables = Vec::new();
        while let Some(table) = self.table() {
            tables.push(table);
            let goes_on = self.rest.first() == Some(&Token::Comma);
            match (one, goes_on, self.take("TO")) {
                (false, true, _) => self.rest = &self.rest[1..],
                (false, _, true) => {}
                _ => break,
            }
        }
        match tables.is_empty() {
            true => Effect::Unknown("a statement about tables that cannot be read"),
            false => Effect::Tables(tables),
        }
    }

    fn table(&mut self) -> Option<(String, String)> {
        let (first, rest) = self.rest.split_first()?;
        let Token::Word(first) = first else {
            return None;
        };
        match rest {
            [Token::Period, Token::Word(second), rest @ ..] => {
                self.rest = rest;
                Some((first.value.clone(), second.value.clone()))
            }
            _ => {
                self.rest = rest;
                Some((self.current.to_owned(), first.value.clone()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(names: &[&str]) -> Effect {
        let split = |name: &&str| {
            let (database, table) = name.split_once('.').expect("both");
            (database.to_owned(), table.to_owned())
        };
        Effect::Tables(names.iter().map(split).collect())
    }

    #[test]
    fn statements_about_tables_name_them() {
        for (statement, expected) in [
            ("TRUNCATE users", tables(&["shop.users"])),
            ("truncate table `other`.`a b`", tables(&["other.a b"])),
            (
                "DROP TABLE IF EXISTS `shop`.`users`, orders /* generated by server */",
                tables(&["shop.users", "shop.orders"]),
            ),
            (
                "ALTER TABLE users ADD COLUMN x int, DROP COLUMN y",
                tables(&["shop.users"]),
            ),
            (
                "ALTER ONLINE IGNORE TABLE users FORCE",
                tables(&["shop.users"]),
            ),
            (
                "RENAME TABLE users TO old.users, fresh TO users",
                tables(&["shop.users", "old.users", "shop.fresh", "shop.users"]),
            ),
            (
                "CREATE OR REPLACE TABLE users (id int)",
                tables(&["shop.users"]),
            ),
            ("BEGIN", Effect::Begin),
            ("COMMIT", Effect::End),
            ("ROLLBACK TO `s`", Effect::Nothing),
            ("SAVEPOINT `s`", Effect::Nothing),
            ("# Dummy event replacing ev", Effect::Nothing),
            ("# D", Effect::Nothing),
            ("", Effect::Nothing),
            ("CREATE TABLE users (id int)", Effect::Nothing),
            ("CREATE INDEX i ON users (id)", Effect::Nothing),
            ("DROP INDEX i ON users", Effect::Nothing),
            ("GRANT SELECT ON *.* TO a", Effect::Nothing),
        ] {
            assert_eq!(effect(statement, "shop"), expected, "{statement}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_not_passed_over() {
        for statement in [
            "DROP DATABASE shop",
            "UPDATE users SET a = 1",
            "INSERT INTO users VALUES (1)",
            "LOAD DATA INFILE 'x' INTO TABLE users",
            "XA COMMIT X'61',X'',1",
            "TRUNCATE",
            "TRUNCATE 'x",
        ] {
            let told = effect(statement, "shop");
            assert!(matches!(told, Effect::Unknown(_)), "{statement}: {told:?}");
        }
    }
}
