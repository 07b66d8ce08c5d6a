//! Every promise of the manual names the tests that hold it, and they exist.

use crate::tree::{SourceFile, Tree};

/// Where the promises stand, each in the table whose last column is headed so.
const MANUALS: [&str; 6] = [
    "cache-core/docs/consistency.md",
    "cache-core/docs/comparison.md",
    "cache-core/docs/errors.md",
    "cache-core/docs/upgrading.md",
    "cache-agent/docs/errors.md",
    "cache-core/docs/features.md",
];
const COLUMN: &str = "held by";

/// Promises that name no test, and tests that are not there.
pub(crate) fn breaches(tree: &Tree) -> Vec<String> {
    MANUALS
        .iter()
        .flat_map(|path| breaches_in(tree, path))
        .collect()
}

fn breaches_in(tree: &Tree, path: &str) -> Vec<String> {
    let manual = tree.files.iter().find(|file| file.path == path);
    let Some(manual) = manual else {
        return vec![format!("{path} is missing")];
    };
    let exists = |test: &str| {
        let signature = format!("fn {test}(");
        tree.rust().any(|file| file.text.contains(&signature))
    };
    let mut breaches = Vec::new();
    for promise in promises(manual) {
        let tests = named(promise);
        if tests.is_empty() {
            breaches.push(format!("no test is named by: {promise}"));
        }
        let missing = tests.into_iter().filter(|test| !exists(test));
        breaches.extend(missing.map(|test| format!("there is no test {test}")));
    }
    breaches
}

/// The rows of the table, without its head.
fn promises(manual: &SourceFile) -> Vec<&str> {
    let lines = manual.text.lines();
    let table = lines.skip_while(|line| !line.trim_end().ends_with(&format!("{COLUMN} |")));
    table
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect()
}

/// The names in the last column.
fn named(promise: &str) -> Vec<&str> {
    let cells: Vec<_> = promise.trim_matches('|').split('|').collect();
    let last = cells.last().copied().unwrap_or_default();
    last.split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches_of(row: &str) -> Vec<String> {
        let manual = format!("text\n\n| | | held by |\n| --- | --- | --- |\n{row}\n\n| other |\n");
        let files = vec![
            SourceFile::new(MANUALS[0], &manual),
            SourceFile::new("x/tests/a.rs", "fn it_holds() {}"),
        ];
        let top_level = Vec::new();
        breaches_in(&Tree { files, top_level }, MANUALS[0])
    }

    #[test]
    fn a_promise_without_a_test_is_found() {
        assert!(breaches_of("| A | `as_of` grows | `it_holds` |").is_empty());
        assert_eq!(breaches_of("| A | it grows | everybody |").len(), 1);
        let gone = breaches_of("| A | it grows | `it_holds`, `it_is_gone` |");
        assert_eq!(gone, ["there is no test it_is_gone"]);
    }
}
