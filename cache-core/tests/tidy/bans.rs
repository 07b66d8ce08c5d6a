//! Calls, macros, attributes and comments this house does without.

use crate::paths::{Mention, Mentions};
use crate::tree::{SourceFile, Tree};

struct Ban {
    /// Full paths, or names of macros (`todo!`) and attributes (`#[ignore]`).
    names: &'static [&'static str],
    reason: &'static str,
    applies: fn(&SourceFile) -> bool,
    /// Also inside `#[cfg(test)]`.
    in_tests: bool,
}

const BANS: &[Ban] = &[
    Ban {
        names: &["std::time::Instant::now", "std::time::SystemTime::now"],
        reason: "time comes from a Clock, so that tests turn it by hand; only clock.rs reads it",
        applies: |file| is_product(file) && file.stem() != "clock",
        in_tests: false,
    },
    Ban {
        names: &["std::env::var", "std::env::var_os", "std::env::vars"],
        reason: "settings are parsed once, in main or config, and handed in",
        applies: |file| is_product(file) && !stands_in(file, &["main", "config"]),
        in_tests: false,
    },
    Ban {
        names: &["println!", "print!", "eprintln!", "eprint!"],
        reason: "a library raises events; only main and cli files speak to a terminal",
        applies: |file| is_product(file) && !stands_in(file, &["main", "cli"]),
        in_tests: false,
    },
    Ban {
        names: &["std::thread::sleep"],
        reason: "it blocks a worker of the runtime; await a condition",
        applies: |_| true,
        in_tests: true,
    },
    Ban {
        names: &["tokio::time::sleep", "tokio::time::sleep_until"],
        reason: "a test that sleeps hopes; wait for a condition (testkit::until) or advance the time",
        // Time in a simulation leaps to whoever sleeps: nothing is left to hope for.
        applies: |file| {
            let within = |name| file.folders().any(|folder| folder == name);
            within("tests") && !within("simulation")
        },
        in_tests: true,
    },
    Ban {
        names: &["todo!", "unimplemented!", "dbg!"],
        reason: "what is not done is not there",
        applies: |_| true,
        in_tests: true,
    },
    Ban {
        names: &["#[ignore]"],
        reason: "a test that does not run is no test; repair or remove it",
        applies: |_| true,
        in_tests: true,
    },
];

/// Words that mark a comment as a note to oneself.
const NOTES: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// All banned calls.
pub(crate) fn breaches(tree: &Tree) -> Vec<String> {
    tree.rust().flat_map(breaches_in).collect()
}

/// All comments with notes to oneself.
pub(crate) fn notes(tree: &Tree) -> Vec<String> {
    tree.rust().flat_map(notes_in).collect()
}

fn breaches_in(file: &SourceFile) -> Vec<String> {
    let mentions = Mentions::of(&file.parse());
    let named = |all: &[Mention], name: fn(&Mention) -> String| -> Vec<(String, Mention)> {
        all.iter().map(|m| (name(m), m.clone())).collect()
    };
    let mut found = named(&mentions.paths, |m| m.segments.join("::"));
    found.extend(named(&mentions.macros, |m| format!("{}!", m.segments[0])));
    found.extend(named(&mentions.attributes, |m| {
        format!("#[{}]", m.segments[0])
    }));

    let mut breaches = Vec::new();
    for ban in BANS.iter().filter(|ban| (ban.applies)(file)) {
        for (name, mention) in &found {
            if ban.names.contains(&name.as_str()) && (ban.in_tests || !mention.in_test) {
                let (path, line, reason) = (&file.path, mention.line, ban.reason);
                breaches.push(format!("{path}:{line} {name}: {reason}"));
            }
        }
    }
    breaches
}

fn notes_in(file: &SourceFile) -> Vec<String> {
    let mut breaches = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let comment = line.split_once("//").map_or("", |(_, comment)| comment);
        let mut words = comment.split(|c: char| !c.is_ascii_alphanumeric());
        if let Some(note) = words.find(|word| NOTES.contains(word)) {
            breaches.push(format!("{}:{} {note}", file.path, index + 1));
        }
    }
    breaches
}

/// Under `src`, but neither test nor test kit.
fn is_product(file: &SourceFile) -> bool {
    file.is_source() && file.stem() != "tests" && !file.folders().any(|f| f == "testkit")
}

fn stands_in(file: &SourceFile, names: &[&str]) -> bool {
    names.contains(&file.stem()) || file.folders().any(|folder| names.contains(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banned(path: &str, text: &str) -> usize {
        breaches_in(&SourceFile::new(path, text)).len()
    }

    #[test]
    fn a_banned_call_is_found_by_whatever_name() {
        let by_use = "use std::time::Instant; fn f() { Instant::now(); }";
        let by_alias = "use std::time::Instant as Now; fn f() { let x = [Now::now]; }";
        let in_macro = "fn f() { assert!(std::time::SystemTime::now() > x); }";
        for text in [by_use, by_alias, in_macro] {
            assert_eq!(banned("x/src/a.rs", text), 1, "{text}");
            assert_eq!(banned("x/src/clock.rs", text), 0, "{text}");
            assert_eq!(banned("x/src/testkit/a.rs", text), 0, "{text}");
            assert_eq!(banned("x/tests/a.rs", text), 0, "{text}");
        }
        let tokio = "use tokio::time::Instant; fn f() { Instant::now(); }";
        assert_eq!(banned("x/src/a.rs", tokio), 0);
    }

    #[test]
    fn bans_have_their_places() {
        let prints = "fn f() { eprintln!(\"{}\", 1); }";
        assert_eq!(banned("x/src/a.rs", prints), 1);
        assert_eq!(banned("x/src/cli/a.rs", prints), 0);
        let env = "fn f() { std::env::var(\"A\"); }";
        assert_eq!(banned("x/src/a.rs", env), 1);
        assert_eq!(banned("x/src/config.rs", env), 0);
        let sleeps = "use tokio::time::sleep; async fn f() { sleep(d).await }";
        assert_eq!(banned("x/tests/a.rs", sleeps), 2, "the import and the call");
        assert_eq!(banned("x/src/a.rs", sleeps), 0);
    }

    #[test]
    fn unfinished_work_is_found_in_tests_too() {
        let text = "#[cfg(test)] mod t { #[test] #[ignore] fn f() { todo!() } }";
        assert_eq!(banned("x/src/a.rs", text), 2);
        let nested = "fn f() { vec![dbg!(1)]; }";
        assert_eq!(banned("x/src/a.rs", nested), 1);
    }

    #[test]
    fn a_note_to_oneself_is_found() {
        let note = format!("fn f() {{}} // {}: later\n", NOTES[0]);
        assert_eq!(notes_in(&SourceFile::new("x/src/a.rs", &note)).len(), 1);
        let word = format!("// {}LIST is a word\n", NOTES[0]);
        assert!(notes_in(&SourceFile::new("x/src/a.rs", &word)).is_empty());
    }
}
