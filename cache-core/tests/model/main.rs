//! The coherence protocol, explored exhaustively within small bounds.
//!
//! What `docs/consistency.md` promises is checked in every state that a database
//! with a lagging replica, an L2 with a lagging replica, an invalidator, a bus and
//! a few reading processes can reach, whatever the order of their steps and
//! wherever a fault strikes. The model is written beside the code, not from it:
//! `l2` repeats the decisions of `tier::decide`, `readers` those of `fill`,
//! `announcers` and `listeners` those of `coherence`.
//!
//! Two kinds of tests:
//!
//! - **The protocol** (`configurations`): no invariant falls in any configuration,
//!   and each has seen what it is there for. One line is printed for each: its
//!   different states, the depth of the search, the time.
//! - **Ablations** (`ablations`): each rule is taken out (`rules`), and the
//!   invariant that it holds must fall, in the same configuration in which the
//!   protocol holds. A rule that nothing needs would be found here, and so would
//!   an invariant that nothing can break.
//!
//! ```text
//! cargo test --release -p cache-core --test model -- --nocapture
//! ```
//!
//! prints all of that, and every counterexample as a numbered story. A debug build
//! explores smaller bounds.
//!
//! What is kept small: positions are a byte, values are the number of the change
//! that they show, a bucket has two records. What is left out: time (it is a step
//! that may happen whenever something waits for it), L2's answers that are lost on
//! their way (a lost answer is a step that came too late), announcements of one
//! invalidator that overlap in L2, and Redis nodes that serve while another is
//! master.

mod ablations;
mod announcers;
mod bounds;
mod configurations;
mod explore;
mod faults;
mod invariants;
mod l2;
mod listeners;
mod position;
mod readers;
mod rules;
mod sights;
mod state;
mod story;
mod system;
mod writers;

use explore::{explore, falls, shortest};
use rules::Rules;
use std::fmt::Write;

/// States that all configurations must have together, so that nobody makes the
/// bounds so small that they prove nothing.
const STATES_MIN: usize = if cfg!(debug_assertions) {
    100_000
} else {
    5_000_000
};
const THREADS: usize = 2;

#[test]
fn the_protocol_holds_in_every_state_of_every_configuration() {
    let mut failures = String::new();
    let mut total = 0;
    println!(
        "{:<44} {:>10} {:>6} {:>8}",
        "configuration", "states", "depth", "seconds"
    );
    for configuration in configurations::all() {
        let bounds = configuration.bounds();
        let explored = explore(bounds, Rules::all(), THREADS, configuration.sights);
        let (states, depth, seconds) =
            (explored.states, explored.depth, explored.took.as_secs_f64());
        println!("{:<44} {states:>10} {depth:>6} {seconds:>8.2}", bounds.name);
        total += states;
        if let Some(fallen) = explored.fallen {
            writeln!(failures, "{}: {fallen}", bounds.name).expect("a string takes it");
        }
        if !explored.unseen.is_empty() {
            let unseen = &explored.unseen;
            writeln!(failures, "{}: never seen: {unseen:?}", bounds.name)
                .expect("a string takes it");
        }
    }
    println!("{:<44} {total:>10}", "together");
    assert!(failures.is_empty(), "{failures}");
    assert!(
        total >= STATES_MIN,
        "only {total} states: {STATES_MIN} are wanted"
    );
}

#[test]
fn every_rule_is_needed() {
    let mut failures = String::new();
    for ablation in ablations::all() {
        let (name, bounds, invariant) = (ablation.name, ablation.bounds, ablation.falls);
        if falls(bounds, Rules::all(), invariant) {
            writeln!(failures, "{name}: falls with all rules").expect("a string takes it");
        }
        match shortest(bounds, Rules::without(ablation.take_out), invariant) {
            Some(fallen) => println!("{name}: {fallen}"),
            None => writeln!(failures, "{name}: nothing falls").expect("a string takes it"),
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
