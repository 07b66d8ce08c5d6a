//! Real faults on real servers, one by one and two at once, while a checker judges
//! every read against the history of commits.
//!
//! ```text
//! writers ─▶ primary ─▶ log ─▶ relay ─▶ JetStream ─▶ 2 invalidators ─▶ Redis 3 + 3, NATS
//!               │ standby                                                │
//!               └── loaders ◀── 3 library processes, a caller of the agent ◀┘
//! ```
//!
//! In a test run a short mix strikes. The long course, and its report:
//!
//! ```text
//! deploy/chaos --minutes 30
//! ```

mod book;
mod control;
mod course;
mod crew;
mod ear;
mod faults;
mod history;
mod ledger;
mod member;
mod relay;
mod report;
mod servers;
mod sources;

use crate::ALONE;
use crate::process::MARK;
use crate::reader::Places;
use course::Course;
use faults::Fault;
use member::Member;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

/// The rows that change.
pub(crate) const ROWS: usize = 400;
/// The writers, each with rows of its own.
pub(crate) const TEAMS: usize = 4;
// Each writer visits all its rows: 7 and the rows of one share no factor.
const _: () = assert!(ROWS.is_multiple_of(TEAMS) && !(ROWS / TEAMS).is_multiple_of(7));

/// A reading process's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    Library(usize),
    Caller,
    Control(&'static str),
}

/// The library processes.
pub(crate) const SEATS: [Seat; 3] = [Seat::Library(0), Seat::Library(1), Seat::Library(2)];

/// What a test run has time for.
const SHORT: [Fault; 7] = [
    Fault::Calm,
    Fault::ReplicaCut,
    Fault::InvalidatorKilled,
    Fault::NatsHangs,
    Fault::EventBeforeVisible,
    Fault::OldSnapshot,
    Fault::MemoryPressure,
];

/// What each control should not survive.
const OF_CONTROLS: [Fault; 4] = [
    Fault::Calm,
    Fault::MemoryPressure,
    Fault::ReplicaCut,
    Fault::ReplayPaused,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_breaks_an_invariant() {
    let _alone = ALONE.lock().await;
    let course = Course::prepare(None).await;
    let report = match minutes() {
        Some(minutes) => course.run_for(Duration::from_secs(60 * minutes)).await,
        None => course.run(&plan(), 200).await,
    };
    report.write(&folder());
    println!("{}", report.markdown());
    let complaints = report.complaints(minutes().is_some());
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_usual_cache_is_found_out_by_real_faults() {
    let _alone = ALONE.lock().await;
    for control in control::CONTROLS {
        let course = Course::prepare(Some(control)).await;
        let found = course.run_until_found(&OF_CONTROLS).await;
        let Some((fault, after, what)) = found else {
            panic!("{control} survived: the judge sees nothing");
        };
        println!("{control}: found out by {fault} after {after:.1?}: {what}");
    }
}

/// How long the course is to be, if not short.
fn minutes() -> Option<u64> {
    let text = std::env::var("CHAOS_MINUTES").ok()?;
    Some(text.parse().expect("a number of minutes"))
}

/// The faults named one after the other, or the short mix.
fn plan() -> Vec<Fault> {
    let Ok(named) = std::env::var("CHAOS_FAULTS") else {
        return SHORT.to_vec();
    };
    let all = [Fault::Calm].into_iter();
    let all: Vec<_> = all.chain(faults::ALONE).chain(faults::MIXED).collect();
    let find = |name: &str| all.iter().find(|fault| fault.name() == name.trim());
    let found = named
        .split(',')
        .map(|name| *find(name).expect("a fault's name"));
    found.collect()
}

/// Where the report goes.
fn folder() -> PathBuf {
    let folder = std::env::var_os("CHAOS_REPORT").map(PathBuf::from);
    folder.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("chaos"))
}

/// Runs as one of the processes: `library|standby|places` (without a standby: empty),
/// `caller|socket|places`, `control|name|standby|places`.
pub(crate) async fn be(role: &str) {
    let (kind, rest) = role.split_once('|').expect("a role");
    let (first, rest) = rest.split_once('|').expect("what it needs");
    let member = match kind {
        "library" => {
            let standby = Some(first).filter(|at| !at.is_empty());
            Member::library(&Places::unpack(rest), standby).await
        }
        "caller" => Member::caller(&Places::unpack(rest), first).await,
        "control" => {
            let (standby, places) = rest.split_once('|').expect("a standby and places");
            Member::control(&Places::unpack(places), first, standby).await
        }
        other => panic!("no role {other}"),
    };
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    member::obey(member, async || lines.next_line().await.ok().flatten()).await;
}
