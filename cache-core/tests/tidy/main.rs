//! The law of this house, as one test binary: who may import whom, how large
//! things may grow, which calls are banned, what lies where.
//!
//! A rule that only a person checks is a wish. Each test here prints every
//! breach at once, with the reason of the rule and what to do instead; the
//! checks themselves are tested on small pieces of code at the end of each
//! module.

mod bans;
mod floor;
mod floors;
mod house;
mod imports;
mod links;
mod pages;
mod paths;
mod promises;
mod sizes;
mod tree;

use tree::{CRATES, Tree};

/// Fails with all breaches of one rule.
fn uphold(rule: &str, breaches: Vec<String>) {
    assert!(
        breaches.is_empty(),
        "\n{rule}\n\n  {}\n\n{} in all\n",
        breaches.join("\n  "),
        breaches.len()
    );
}

#[test]
fn imports_go_down_only() {
    let tree = Tree::read();
    let mut breaches = Vec::new();
    for name in CRATES {
        let modules = imports::Modules::of(name, tree.sources(name));
        breaches.extend(modules.breaches(floors::of(name)));
    }
    uphold(
        "A file imports only from strictly lower floors (tests/tidy/floors.rs), \
         so that each can be read knowing only what lies below it.",
        breaches,
    );
}

#[test]
fn imports_make_no_circles() {
    let tree = Tree::read();
    let mut breaches = Vec::new();
    for name in CRATES {
        breaches.extend(imports::Modules::of(name, tree.sources(name)).circles());
    }
    uphold("No circle of imports between files.", breaches);
}

#[test]
fn services_do_not_know_each_other() {
    uphold(
        "cache-agent and invalidator share cache-core, never each other's code.",
        imports::strangers(&Tree::read()),
    );
}

#[test]
fn files_and_functions_stay_small() {
    uphold(
        "Files and functions stay small enough to be read at one sitting.",
        sizes::breaches(&Tree::read()),
    );
}

#[test]
fn banned_calls_are_absent() {
    uphold(
        "Calls this house does without.",
        bans::breaches(&Tree::read()),
    );
}

#[test]
fn no_notes_to_self_in_comments() {
    uphold(
        "Work left to do belongs in an issue; a comment says how things are.",
        bans::notes(&Tree::read()),
    );
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    uphold(
        "Each Cargo.toml holds `[lints]` with `workspace = true`.",
        house::lints(&Tree::read()),
    );
}

#[test]
fn the_top_level_holds_what_it_should() {
    uphold(
        "The top level is the table of contents; new things go inside.",
        house::top_level(&Tree::read()),
    );
}

#[test]
fn no_file_names_a_machine_of_ours() {
    uphold(
        "The tree works wherever it is cloned: no paths of one machine.",
        house::machine_paths(&Tree::read()),
    );
}

#[test]
fn examples_fit_on_a_screen() {
    uphold(
        "An example has at most 50 lines.",
        house::examples(&Tree::read()),
    );
}

#[test]
fn every_promise_names_a_test_that_exists() {
    uphold(
        "Each promise of the manual names the tests that hold it.",
        promises::breaches(&Tree::read()),
    );
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    uphold(
        "A relative link leads to a file, and its anchor to a heading.",
        links::breaches(&Tree::read()),
    );
}

#[test]
fn every_series_that_is_named_is_there() {
    uphold(
        "A series that a page, a rule or a dashboard names stands in cache-core/docs/series.md, \
         which tests hold against what the programs register.",
        pages::series(&Tree::read()),
    );
}

#[test]
fn every_label_that_is_asked_for_is_there() {
    uphold(
        "A selector asks for labels and values that cache-core/docs/series.md has of its series.",
        pages::labels(&Tree::read()),
    );
}

#[test]
fn every_kind_of_error_is_on_its_page() {
    uphold(
        "The page of errors has a row for each kind, and no other.",
        pages::kinds(&Tree::read()),
    );
}

#[test]
fn every_key_that_a_page_shows_is_read() {
    uphold(
        "A key of a file that a page shows is one that some code reads.",
        pages::keys(&Tree::read()),
    );
}

#[test]
fn every_reason_that_is_explained_is_given() {
    uphold(
        "The page about stale values explains reasons in the words in which they are given.",
        pages::reasons(&Tree::read()),
    );
}
