//! What lies where: manifests, the top level, machine paths, examples.

use crate::tree::{CRATES, SourceFile, Tree};

/// All that stands at the top, beside dotfiles.
const TOP_LEVEL: [&str; 8] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "cache-agent",
    "cache-core",
    "deploy",
    "invalidator",
];

/// What building leaves there.
const BUILT: &str = "target";

/// Folders of somebody's machine, and of what lies beside this repository.
const MACHINE: [&str; 4] = [
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
    concat!("../sh", "ared"),
];

const EXAMPLE: usize = 50;

/// Crates that do not take the lints of the workspace.
pub(crate) fn lints(tree: &Tree) -> Vec<String> {
    let path = |name: &str| format!("{name}/Cargo.toml");
    let takes = |name: &&str| {
        let mut manifests = tree.files.iter().filter(|file| file.path == path(name));
        manifests.any(|file| takes_lints(&file.text))
    };
    CRATES
        .into_iter()
        .filter(|name| !takes(name))
        .map(path)
        .collect()
}

fn takes_lints(manifest: &str) -> bool {
    let mut lines = manifest
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "[lints]");
    let section = lines
        .by_ref()
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    section
        .map(|line| line.replace(' ', ""))
        .any(|line| line == "workspace=true")
}

/// What lies at the top but should not, and what should but does not.
pub(crate) fn top_level(tree: &Tree) -> Vec<String> {
    let found: Vec<&str> = tree.top_level.iter().map(String::as_str).collect();
    top_level_breaches(&found)
}

fn top_level_breaches(found: &[&str]) -> Vec<String> {
    let may = |name: &str| TOP_LEVEL.contains(&name) || name == BUILT || name.starts_with('.');
    let strange = found.iter().filter(|name| !may(name));
    let strange = strange.map(|name| format!("{name} does not belong there"));
    let missing = TOP_LEVEL.iter().filter(|name| !found.contains(name));
    let missing = missing.map(|name| format!("{name} is missing"));
    strange.chain(missing).collect()
}

/// Lines that name a folder of somebody's machine.
pub(crate) fn machine_paths(tree: &Tree) -> Vec<String> {
    tree.files.iter().flat_map(machine_paths_in).collect()
}

fn machine_paths_in(file: &SourceFile) -> Vec<String> {
    let mut breaches = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for path in MACHINE {
            // In the middle of a longer path it is another folder of that name.
            let begins = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric());
            if line.match_indices(path).any(|(at, _)| begins(at)) {
                breaches.push(format!("{}:{} mentions {path}", file.path, index + 1));
            }
        }
    }
    breaches
}

/// Examples that do not fit on a screen. A folder among them is a program, not an
/// example to be read.
pub(crate) fn examples(tree: &Tree) -> Vec<String> {
    let is_example = |file: &&SourceFile| file.folders().last() == Some("examples");
    let large = |file: &&SourceFile| file.text.lines().count() > EXAMPLE;
    let files = tree.files.iter().filter(is_example).filter(large);
    files
        .map(|file| format!("{} has {} lines", file.path, file.text.lines().count()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lints_are_looked_for_in_their_section() {
        assert!(takes_lints(
            "[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n"
        ));
        assert!(!takes_lints(
            "[lints]\n\n[dependencies]\nworkspace = true\n"
        ));
        assert!(!takes_lints("[package]\n"));
    }

    #[test]
    fn strange_and_missing_things_at_the_top_are_found() {
        let mut found = TOP_LEVEL.to_vec();
        found.extend([".github", BUILT]);
        assert!(top_level_breaches(&found).is_empty());
        found[3] = "scripts";
        assert_eq!(
            top_level_breaches(&found),
            ["scripts does not belong there", "README.md is missing"]
        );
    }

    #[test]
    fn a_machine_path_is_found() {
        let in_line = |line: &str| machine_paths_in(&SourceFile::new("a", line)).len();
        assert_eq!(in_line(&format!("see {}me/x", MACHINE[1])), 1);
        assert_eq!(in_line(&format!("see example.com{}", MACHINE[1])), 0);
    }

    #[test]
    fn a_large_example_is_found() {
        let file = |lines| SourceFile::new("x/examples/a.rs", &"\n".repeat(lines));
        let tree = |lines| Tree {
            files: vec![file(lines)],
            top_level: Vec::new(),
        };
        assert!(examples(&tree(EXAMPLE)).is_empty());
        assert_eq!(examples(&tree(EXAMPLE + 1)).len(), 1);
    }
}
