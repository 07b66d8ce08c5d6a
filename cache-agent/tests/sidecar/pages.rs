//! What pages say of this program: its series, and how it is called.

use crate::process::http;
use crate::world::World;
use cache_agent::cli::Cli;
use cache_agent::reloads::Outcome;
use cache_core::testkit::pages::{Commands, registered, told_by, unknown_calls};
use clap::CommandFactory;
use std::path::Path;

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
    let unknown = unknown_calls(root, "cache-agent", &commands).expect("pages can be read");
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_series_of_the_agent_is_on_the_page() {
    let world = World::embedded().await;
    // A family has its lines once something was counted in it.
    world.unix.get("user:1").await;
    world.app.reloads.count(Outcome::Applied);
    let (_, metrics) = http(world.admin, "/metrics").await;
    let mut own = registered(&metrics);
    own.retain(|name, _| !told_by(&["every process"]).contains_key(name));
    assert_eq!(own, told_by(&["agent", "every program"]));
}
