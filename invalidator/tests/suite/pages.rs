//! What pages say of this program: its series, and how it is called.

use cache_core::clock::SystemClock;
use cache_core::ops::process;
use cache_core::testkit::pages::{Commands, registered, told_by, unknown_calls};
use clap::CommandFactory;
use invalidator::capture::{outbox, series};
use invalidator::cli::Cli;
use invalidator::decide::{Count, Counted, Decision};
use invalidator::metrics::{Metrics, Stage};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::path::Path;
use std::sync::Arc;

/// Adds a command, and those below it.
fn add(command: &clap::Command, words: &str, commands: &mut Commands) {
    let flags = command.get_arguments().filter_map(|it| it.get_long());
    commands.insert(words.to_owned(), flags.map(str::to_owned).collect());
    for below in command.get_subcommands() {
        let words = format!("{words} {}", below.get_name());
        add(below, words.trim_start(), commands);
    }
}

#[test]
fn every_call_that_a_page_shows_can_be_made() {
    let (mut program, mut commands) = (Cli::command(), Commands::new());
    program.build();
    add(&program, "", &mut commands);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.expect("a crate lies in its workspace");
    let unknown = unknown_calls(root, "invalidator", &commands).expect("pages can be read");
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

#[test]
fn every_series_of_the_invalidator_is_on_the_page() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry, "CDC");
    // A family has its lines once something was counted in it.
    let count = Count {
        rule: "public.users".to_owned(),
        op: "update",
        outcome: Counted::Mapped,
        targets: 1,
    };
    let decision = Decision {
        targets: Vec::new(),
        changed_ms: None,
        is_early: false,
        letter: None,
        counts: vec![count],
    };
    metrics.decided(&decision, 1, 0);
    metrics.letter("public.users");
    metrics.lag(Stage::SourceToStream, 0, 1);
    process::register(&mut registry, Arc::new(SystemClock::new()), "1");
    series::Series::new(&mut registry);
    outbox::series::Series::new(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).expect("a text");
    let tellers = ["invalidator", "capture", "outbox", "every program"];
    assert_eq!(registered(&text), told_by(&tellers));
}
