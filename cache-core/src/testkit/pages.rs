//! What the pages of this repository show, and say of its programs and series: for tests that
//! hold it against the programs.

use crate::connect::{self, DomainSettings};
use crate::domain::{Domain, Role};
use crate::error::Error;
use crate::event::Silent;
use crate::testkit::markdown;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The table of all series.
pub const SERIES: &str = include_str!("../../docs/series.md");

/// The commands of a program, each as its words (`dlq show`; the program itself has none),
/// with the long names of its arguments.
pub type Commands = BTreeMap<String, Vec<String>>;

/// What pages use without saying so each time.
pub mod shown {
    pub use crate::cache::Cache;
    pub use crate::coherence::announce::Change;
    pub use crate::fill::offer::FillOutcome;
    pub use crate::model::key::{Key, Name};
    pub use crate::model::position::Position;
    pub use crate::model::session::Session;
    pub use crate::model::tag::Tag;
    pub use crate::model::template::KeyTemplate;
    pub use crate::source::{Cause, Loaded, Wanted, WriteError};
    pub use crate::strategy::cache_aside::Lookup;
    pub use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub use std::sync::{Arc, Mutex};
    pub use std::time::Duration;
}

/// Runs what a page shows, in a domain that is all in this process.
///
/// # Panics
/// What is shown fails.
pub fn shown(example: impl AsyncFnOnce(Arc<Domain>) -> Result<(), Error>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let ended = runtime.block_on(async {
        let settings = DomainSettings::embedded();
        let domain = connect::open(&settings, Role::Member, Arc::new(Silent)).await?;
        example(domain).await
    });
    ended.expect("what a page shows works");
}

/// Every Markdown page under `root`, with its path.
///
/// # Errors
/// A folder or a page cannot be read.
pub fn read(root: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "target" && name != ".git" {
            pages.extend(read(&path)?);
        } else if path.extension().is_some_and(|end| end == "md") {
            let text = fs::read_to_string(&path)?;
            pages.push((path, text));
        }
    }
    Ok(pages)
}

/// The calls of `program` that the code of a page shows.
pub fn calls(page: &str, program: &str) -> Vec<Vec<String>> {
    let shells = markdown::fences(page);
    let shells = shells.iter().filter(|(language, _)| language == "sh");
    let mut code: String = shells.map(|(_, held)| held.as_str()).collect();
    code.push_str(&markdown::spans(page));
    let lines = code.lines();
    lines.flat_map(|line| calls_in(line, program)).collect()
}

fn calls_in(line: &str, program: &str) -> Vec<Vec<String>> {
    let places = line.match_indices(program);
    let calls = places.filter_map(|(at, _)| {
        let (before, rest) = (line[..at].trim_start(), &line[at + program.len()..]);
        let rest = rest.strip_prefix(' ')?;
        // Cargo's word for a package; what follows `--` is the program's.
        if ["-p ", "--package "].iter().any(|it| before.ends_with(it)) {
            return rest.split_once("-- ").map(|(_, rest)| rest);
        }
        // Elsewhere it is the argument of another program, or a word.
        let calls = ["$ ", "| ", "; ", "&& ", "command ", "/"];
        let is_called = before.is_empty() || calls.iter().any(|it| before.ends_with(it));
        is_called.then_some(rest)
    });
    let calls = calls.map(|rest| {
        let end = rest.find(|c: char| "|<>;#&`)\"'".contains(c));
        let words = rest[..end.unwrap_or(rest.len())].split_whitespace();
        words.map(str::to_owned).collect()
    });
    calls.collect()
}

/// Every call of `program` on a page under `root` that names what is not among its commands.
///
/// # Errors
/// A folder or a page cannot be read.
pub fn unknown_calls(root: &Path, program: &str, commands: &Commands) -> io::Result<Vec<String>> {
    let mut unknown = Vec::new();
    for (path, text) in read(root)? {
        for words in calls(&text, program) {
            if let Some(word) = unknown_word(&words, commands) {
                let (page, words) = (path.display(), words.join(" "));
                unknown.push(format!("{page}: `{program} {words}`: there is no {word}"));
            }
        }
    }
    Ok(unknown)
}

fn unknown_word<'w>(words: &'w [String], commands: &Commands) -> Option<&'w str> {
    let mut at = String::new();
    for word in words {
        let below = format!("{at} {word}").trim_start().to_owned();
        let name = |it: &String| it.split('=').next().unwrap_or_default().to_owned();
        if let Some(flag) = word.strip_prefix("--").map(str::to_owned) {
            let known = commands.get(&at)?;
            if !flag.is_empty() && !known.contains(&name(&flag)) {
                return Some(word);
            }
        } else if commands.contains_key(&below) {
            at = below;
        } else if commands
            .keys()
            .any(|it| it.starts_with(&format!("{at} ")) || at.is_empty())
            && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
        {
            return Some(word);
        }
    }
    None
}

/// Names and kinds of the rows of [`SERIES`] that are told by one of `who`.
pub fn told_by(who: &[&str]) -> BTreeMap<String, String> {
    let rows = SERIES.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.filter_map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let by = *cells.get(4)?;
        let row = (cells[1].trim_matches('`').to_owned(), cells[2].to_owned());
        who.contains(&by).then_some(row)
    });
    rows.collect()
}

/// Names and kinds in a text for Prometheus, with the ending that counters have there.
pub fn registered(exposition: &str) -> BTreeMap<String, String> {
    let types = exposition.lines().filter_map(|line| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        let ending = if kind == "counter" { "_total" } else { "" };
        Some((format!("{name}{ending}"), kind.to_owned()))
    });
    types.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "`cargo run -p demo -- dev` and `cargo test -p demo --test x`, `demo lag \
        --watch | head`, `demonic x`, `demo`.\n```sh\n$ demo dlq show 12   # all\n\
        log -u demo -n 5; target/demo lag\n```\n```text\ndemo ──▶ x\n```\n";

    #[test]
    fn calls_are_found_in_code_alone() {
        let calls = calls(PAGE, "demo");
        let calls: Vec<_> = calls.iter().map(|words| words.join(" ")).collect();
        assert_eq!(calls, ["dlq show 12", "lag", "dev", "lag --watch"]);
    }

    #[test]
    fn a_command_or_an_argument_that_is_not_there_is_found() {
        let known = |name: &str, flags: &[&str]| {
            let flags = flags.iter().map(|flag| (*flag).to_owned());
            (name.to_owned(), flags.collect::<Vec<_>>())
        };
        let commands = [
            known("", &["log"]),
            known("dlq", &[]),
            known("dlq show", &["json"]),
            known("lag", &["watch"]),
        ];
        let commands = Commands::from(commands);
        let unknown = |call: &str| {
            let words: Vec<_> = call.split(' ').map(str::to_owned).collect();
            unknown_word(&words, &commands).map(str::to_owned)
        };
        for sound in [
            "dlq show 12 --json",
            "lag --watch",
            "--log=info lag",
            "COMMAND",
            "lag me",
        ] {
            assert_eq!(unknown(sound), None, "{sound}");
        }
        for (odd, word) in [
            ("dlq shew 12", "shew"),
            ("lags", "lags"),
            ("lag --wait", "--wait"),
        ] {
            assert_eq!(unknown(odd).as_deref(), Some(word), "{odd}");
        }
    }

    #[test]
    fn counters_end_as_prometheus_shows_them() {
        let told = registered("# HELP a b.\n# TYPE a counter\na_total 1\n# TYPE c gauge\nc 1\n");
        let told = told.iter().map(|(name, kind)| format!("{name} {kind}"));
        let told: Vec<_> = told.collect();
        assert_eq!(told, ["a_total counter", "c gauge"]);
    }
}
