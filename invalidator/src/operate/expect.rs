//! Tests of rules: events, and what is expected of them.
//!
//! ```toml
//! rules = "rules.toml"                # beside this file
//!
//! [[test]]
//! name = "an update of a user"
//! event = '''{"op": "u", …}'''        # or event_file = "update.json"
//! subject = "cdc.public.users"        # default: none
//! keys = ["users:user:7"]             # exactly these, in any order; CACHE:KEY
//! tags = ["users:team:3"]             # exactly these; "users:*" is all of it
//!
//! [[test]]
//! name = "a snapshot"
//! event = '''…'''
//! ignored = true                      # nothing is invalidated, and no letter written
//!
//! [[test]]
//! name = "no old email"
//! event = '''…'''
//! dead_letter = "REPLICA IDENTITY"    # a part of the reason
//! ```
//!
//! With `keys` or `tags` the other one is expected to be empty if it is absent. With
//! `dead_letter` alone it does not matter what is cleared.

use super::instant::Instant;
use super::judged::{judge, named};
use super::read::Event;
use crate::rules::Rules;
use bytes::Bytes;
use cache_core::config::reader::{self, Section};
use cache_core::config::report::Report;
use cache_core::config::wrong::Wrong;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

/// The most tests in one file.
pub const TESTS_MAX: usize = 10_000;

/// A file of tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tests {
    /// The rules that are tested, if the file says which.
    pub rules: Option<PathBuf>,
    /// The tests.
    pub all: Vec<Test>,
}

/// One event, and what is expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// The line that it begins on.
    pub line: usize,
    /// What it is called.
    pub name: String,
    /// The event.
    pub event: Source,
    /// Its subject; may be empty.
    pub subject: String,
    /// What is expected.
    pub expected: Expected,
}

/// Where an event is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Here.
    Inline(String),
    /// In a file beside the file of tests.
    File(PathBuf),
}

/// What is expected of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Exactly these keys and tags, if that matters.
    pub targets: Option<BTreeSet<String>>,
    /// A part of the reason of the dead letter, if one is expected.
    pub letter: Option<String>,
}

/// A test and how what became of its event differs from what was expected: not at all, if
/// it passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The test's line.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// What differs, one line each.
    pub differences: Vec<String>,
}

/// Reads a file of tests; `file` is its name for people.
///
/// # Errors
/// Everything that is wrong with it at once.
pub fn parse(file: &str, text: &str) -> Result<Tests, Report> {
    reader::read(file, text, |file| {
        let rules = file.opt_string("rules").map(PathBuf::from);
        let all = file.sections("test", test);
        if !file.has("test") {
            let hint = Some("add a [[test]] with `name`, `event` and what it comes to".to_owned());
            let message = "there are no tests".to_owned();
            file.complain("test", Wrong { message, hint });
        }
        if all.len() > TESTS_MAX {
            file.complain("test", format!("there are more than {TESTS_MAX} tests"));
        }
        Some(Tests { rules, all })
    })
}

fn test(section: &mut Section<'_>) -> Option<Test> {
    let name = section.string("name");
    let inline = section.opt_string("event").map(Source::Inline);
    let file = section
        .opt_string("event_file")
        .map(|file| Source::File(PathBuf::from(file)));
    let subject = section.opt_string("subject").unwrap_or_default();
    let keys = section.list("keys", |text| expected("key", text));
    let tags = section.list("tags", |text| expected("tag", text));
    let ignored = section.bool_or("ignored", false);
    let letter = section.opt_string("dead_letter");
    let event = match (inline, file) {
        (Some(event), None) | (None, Some(event)) => Some(event),
        _ => {
            let wrong = "exactly one of `event` and `event_file` is needed";
            section.complain("event", wrong.to_owned());
            None
        }
    };
    let names_targets = keys.is_some() || tags.is_some();
    if !names_targets && !ignored && letter.is_none() {
        let hint = Some("add `keys`, `tags`, `ignored = true` or `dead_letter`".to_owned());
        let message = "nothing is expected of this event".to_owned();
        section.complain("name", Wrong { message, hint });
    }
    if ignored && (names_targets || letter.is_some()) {
        let wrong = "an event that is ignored has no `keys`, `tags` or `dead_letter`";
        section.complain("ignored", wrong.to_owned());
    }
    let named = keys.into_iter().chain(tags).flatten().collect();
    Some(Test {
        line: section.line().unwrap_or_default(),
        name: name?,
        event: event?,
        subject,
        expected: Expected {
            targets: (names_targets || ignored).then_some(named),
            letter,
        },
    })
}

fn expected(kind: &str, text: &str) -> Result<String, String> {
    match text.split_once(':') {
        Some((cache, rest)) if !cache.is_empty() && !rest.is_empty() => {
            Ok(format!("{kind} {text}"))
        }
        _ => Err(format!(
            "`{text}` names no cache; write it like users:user:7"
        )),
    }
}

impl Test {
    /// Has the rules judge the event, whose bytes these are.
    pub fn run(&self, event: Bytes, rules: &Rules) -> Outcome {
        let event = Event {
            sequence: 1,
            stored: Instant(0),
            subject: self.subject.clone(),
            headers: Vec::new(),
            payload: event,
        };
        let decision = judge(&event, rules);
        let mut differences = Vec::new();
        match (&self.expected.letter, &decision.letter) {
            (Some(part), Some(letter)) if letter.why.contains(part) => {}
            (Some(part), Some(letter)) => differences.push(format!(
                "the reason of its dead letter has no `{part}`: {}",
                letter.why
            )),
            (Some(_), None) => differences.push("it is no dead letter".to_owned()),
            (None, Some(letter)) => {
                differences.push(format!("it is a dead letter: {}", letter.why));
            }
            (None, None) => {}
        }
        if let Some(expected) = &self.expected.targets {
            let got: BTreeSet<_> = decision
                .targets
                .iter()
                .map(|target| {
                    let (kind, name) = named(target);
                    format!("{kind} {name}")
                })
                .collect();
            let missing = expected.difference(&got).map(|one| format!("- {one}"));
            let more = got.difference(expected).map(|one| format!("+ {one}"));
            differences.extend(missing.chain(more));
        }
        Outcome {
            line: self.line,
            name: self.name.clone(),
            differences,
        }
    }
}

impl Outcome {
    /// Whether it came as expected.
    pub fn is_passed(&self) -> bool {
        self.differences.is_empty()
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        json!({
            "line": self.line,
            "name": self.name,
            "passed": self.is_passed(),
            "differences": self.differences,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_passed() {
            return write!(f, "ok      {}", self.name);
        }
        write!(f, "FAILED  {} (line {})", self.name, self.line)?;
        for difference in &self.differences {
            write!(f, "\n  {difference}")?;
        }
        Ok(())
    }
}
