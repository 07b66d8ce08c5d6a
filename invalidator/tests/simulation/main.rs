//! The shipping code of the cache and of the invalidator, on one thread with
//! simulated time, over an L2, a bus, a stream and a database that delay, drop,
//! repeat, reorder, fail and lose what they had confirmed, all by seed.
//!
//! ```text
//! database ── relay ──> stream ──> invalidator (the pipeline) ──> L2, bus
//!     ^                                                            │
//!     └── loaders ── members (the cache, in every way it is read) <┘
//! ```
//!
//! An oracle knows every commit and judges every read. A seed that fails prints what
//! was violated and its whole history, and replays exactly:
//!
//! ```text
//! cargo test -p invalidator --test simulation                 # 10,000 seeds
//! SEEDS=1000000 cargo test --release -p invalidator --test simulation
//! FIRST=1000000 SEEDS=1000000 cargo test --release ...          # the next million
//! SEED=4711 cargo test -p invalidator --test simulation       # one, told
//! ```
#![forbid(unsafe_code)]

mod bus;
mod carrier;
mod control;
mod count;
mod database;
mod dice;
mod l2;
mod lifeline;
mod member;
mod nemesis;
mod oracle;
mod queue;
mod sky;
mod stream;
mod time;
mod weather;
mod world;

use cache_core::clock::{Clock, SystemClock};
use control::Subject;
use count::{COUNTED, Count};
use oracle::Verdict;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The seeds of a test run.
const SEEDS: u64 = 10_000;
/// The threads that runs are spread over; each run has one of its own.
const THREADS: usize = 2;
/// The seeds within which a control must be found out.
const CONTROL_SEEDS: u64 = 100;
/// The lines told of a history that failed: its end says most.
const LINES_TOLD: usize = 400;

/// One test at a time: each has both cores, and the time told is its own.
static TURN: Mutex<()> = Mutex::new(());

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number of seeds, or a seed"))
}

fn run(seed: u64, tells: bool, count: &Count) -> Verdict {
    world::run(Subject::Shipping, seed, tells, count)
}

#[test]
fn no_seed_breaks_an_invariant() {
    let _turn = TURN.lock();
    if let Some(seed) = setting("SEED") {
        let verdict = run(seed, true, &Count::default());
        println!("{}", verdict.story.join("\n"));
        assert!(verdict.violations.is_empty(), "{:#?}", verdict.violations);
        return;
    }
    let seeds = setting("SEEDS").unwrap_or(SEEDS);
    let first = setting("FIRST").unwrap_or(0);
    let clock = SystemClock::new();
    let (count, reads) = (Count::default(), AtomicU64::new(0));
    let failed = Mutex::new(Vec::new());
    let next = AtomicU64::new(first);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    let verdict = run(seed, false, &count);
                    reads.fetch_add(verdict.reads, Ordering::Relaxed);
                    if !verdict.violations.is_empty() {
                        failed.lock().expect("no panic").push((seed, verdict));
                    }
                }
            });
        }
    });
    let reads = reads.into_inner();
    println!(
        "{seeds} seeds from {first} on, {reads} reads judged, {:.1?}",
        clock.now().since_start()
    );
    for (name, times) in COUNTED.iter().zip(count.all()) {
        println!("{times:>12}  {name}");
    }
    tell(&failed.into_inner().expect("no panic"));
    for (name, times) in COUNTED.iter().zip(count.all()) {
        assert!(times > 0 || seeds < SEEDS, "{name}: it never happened");
    }
}

/// Tells of the seeds that failed, of the first one in full.
fn tell(failed: &[(u64, Verdict)]) {
    let Some((first, _)) = failed.iter().min_by_key(|(seed, _)| *seed) else {
        return;
    };
    for (seed, verdict) in failed.iter().take(20) {
        println!("seed {seed}: {}", verdict.violations[0]);
    }
    let told = run(*first, true, &Count::default());
    let from = told.story.len().saturating_sub(LINES_TOLD);
    println!("the history of seed {first}, which SEED={first} replays:");
    println!("{}", told.story[from..].join("\n"));
    panic!("{} seeds broke an invariant, first {first}", failed.len());
}

#[test]
fn a_seed_replays_exactly() {
    let _turn = TURN.lock();
    for seed in 0..20 {
        let first = run(seed, true, &Count::default());
        let again = run(seed, true, &Count::default());
        let mut lines = first.story.iter().zip(&again.story);
        let parts = lines.find(|(one, other)| one != other);
        assert_eq!(parts, None, "seed {seed} went another way");
        assert_eq!(first, again, "seed {seed}");
    }
}

#[test]
fn every_usual_cache_is_found_out() {
    let _turn = TURN.lock();
    for control in [Subject::Naive, Subject::LeaseOnly, Subject::MarksOnly] {
        let found = (0..CONTROL_SEEDS).find_map(|seed| {
            let verdict = world::run(control, seed, false, &Count::default());
            let violation = verdict.violations.first()?.clone();
            Some((seed, violation))
        });
        let Some((seed, violation)) = found else {
            panic!("{control:?} passed {CONTROL_SEEDS} seeds: the oracle sees nothing");
        };
        println!("{control:?}: found out by seed {seed}, {violation}");
    }
}
