//! How many events a second the invalidators carry, beside what bare clients of NATS and
//! of Redis do with as many, turn by turn in one run, so that a noisy machine is noisy to
//! all. Judged is only that every event was carried; times depend on the machine.
//!
//! ```text
//! deploy/throughput --events 100000
//! ```

mod bare;
mod field;
mod process;
mod table;

use crate::ALONE;
use field::Field;
use std::ops::RangeInclusive;
use table::{Row, Turn};

/// The events in a test run.
const EVENTS: u64 = 3_000;
/// How often each side has its turn, where times are compared and nothing else is said.
const ROUNDS: usize = 3;
/// The events in one batch: what the invalidator takes by default.
const BATCH: usize = 256;

/// Whoever goes through all events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// Fetches and acknowledges, over so many connections.
    JetStream(usize),
    /// One `SET` an event.
    RedisSets,
    /// The step by which L2 takes an invalidation, one an event.
    RedisSteps,
    /// So many invalidators, which announce each event once.
    Invalidators(usize),
    /// One that announces what may come early once more, as it does by default.
    Twice,
}

/// All of them; the others are compared with the first and with [`Side::RedisSteps`].
const SIDES: [(&str, Side); 8] = [
    ("JetStream, 1 connection", Side::JetStream(1)),
    ("JetStream, 2 connections", Side::JetStream(2)),
    ("Redis, SET", Side::RedisSets),
    ("Redis, step of L2", Side::RedisSteps),
    ("1 invalidator", Side::Invalidators(1)),
    ("2 invalidators", Side::Invalidators(2)),
    ("4 invalidators", Side::Invalidators(4)),
    ("1, half of it twice", Side::Twice),
];

impl Side {
    async fn turn(self, field: &mut Field) -> Turn {
        match self {
            Self::JetStream(connections) => bare::jetstream(field, connections).await,
            Self::RedisSets => bare::sets(field).await,
            Self::RedisSteps => bare::steps(field).await,
            Self::Invalidators(count) => field.carry(count, "repeat_after = '0s'").await,
            Self::Twice => field.carry(1, "").await,
        }
    }
}

/// The places of events 1 to `events`, in batches.
fn batches(events: u64) -> impl Iterator<Item = RangeInclusive<u64>> {
    let first = (1..=events).step_by(BATCH);
    first.map(move |first| first..=(first + BATCH as u64 - 1).min(events))
}

/// How many events, and how many rounds.
fn course() -> (u64, usize) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>());
    let number = |name| number(name).map(|parsed| parsed.expect("a whole number"));
    match number("THROUGHPUT_EVENTS") {
        Some(events) => {
            let rounds = number("THROUGHPUT_ROUNDS").map(|rounds| rounds as usize);
            (events, rounds.unwrap_or(ROUNDS))
        }
        None => (EVENTS, 1),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_of_a_backlog_is_carried_by_any_number_of_invalidators() {
    let _alone = ALONE.lock().await;
    let (events, rounds) = course();
    let mut field = Field::new(events).await;
    let mut rows = SIDES.map(|(name, _)| Row::new(name));
    for round in 0..rounds {
        for place in 0..SIDES.len() {
            // Whoever comes first finds the machine otherwise than who comes last.
            let at = (round + place) % SIDES.len();
            let (name, side) = SIDES[at];
            let turn = side.turn(&mut field).await;
            eprintln!("round {}: {name}: {:.0} events/s", round + 1, turn.rate());
            rows[at].turns.push(turn);
        }
    }
    println!("{events} events, {rounds} rounds, batches of {BATCH}");
    let steps = SIDES.iter().position(|(_, side)| *side == Side::RedisSteps);
    println!("{}", table::table(&rows, 0, steps.expect("one of them")));
}
