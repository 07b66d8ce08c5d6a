//! One reading process's ledger: reads wait in it until every commit before them is
//! known here, and are then judged, phase by phase.

use super::history::{History, Read};
use cache_core::event::Tier;
use cache_core::model::position::Position;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// The most violations of a phase told in words.
const TOLD_MAX: usize = 3;

/// After this long, a version that no commit told of is made up.
const SLOW_US: u64 = 10_000_000;

/// The ledger of one process.
#[derive(Debug)]
pub(crate) struct Ledger {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    history: History,
    waiting: VecDeque<Read>,
    phase: Phase,
    bound_us: u64,
}

/// What the reads of one phase came to.
#[derive(Clone, Debug, Default)]
struct Phase {
    reads: u64,
    tiers: [u64; 3],
    behind: u64,
    worst_us: u64,
    errors: u64,
    broken: BTreeMap<&'static str, u64>,
    told: Vec<String>,
}

impl Ledger {
    pub(crate) fn new(rows: usize) -> Self {
        Self {
            state: Mutex::new(State {
                history: History::new(rows),
                waiting: VecDeque::new(),
                phase: Phase::default(),
                bound_us: u64::MAX,
            }),
        }
    }

    pub(crate) fn read(&self, read: Read) {
        self.state.lock().waiting.push_back(read);
    }

    pub(crate) fn failed(&self, error: &str) {
        let mut state = self.state.lock();
        state.phase.errors += 1;
        if state.phase.told.len() < TOLD_MAX {
            state.phase.told.push(format!("an error: {error}"));
        }
    }

    pub(crate) fn committed(&self, row: usize, version: u64, at_us: u64) {
        self.state.lock().history.committed(row, version, at_us);
    }

    pub(crate) fn stored(&self, version: u64, at: Position, at_us: u64) {
        self.state.lock().history.stored(version, at, at_us);
    }

    /// The place of the newest event of a row that is known here.
    pub(crate) fn last_place(&self, row: usize) -> Position {
        let newest = self.state.lock().history.newest(row);
        newest.stored.map_or(Position::ZERO, |(at, _)| at)
    }

    /// Every commit up to then is known: judges the reads that began before.
    pub(crate) fn known_up_to(&self, until_us: u64) {
        let mut state = self.state.lock();
        let State {
            history,
            waiting,
            phase,
            bound_us,
        } = &mut *state;
        let due = |read: &mut Read| {
            // The writer of what was read may be slow to say so.
            let known = history.knows(read.version) || read.began_us + SLOW_US < until_us;
            read.began_us <= until_us && known
        };
        while let Some(read) = waiting.pop_front_if(due) {
            phase.add(&read, history, *bound_us);
        }
    }

    /// A phase begins with this bound; everything before it has been reported.
    pub(crate) fn begin(&self, bound_us: u64) {
        self.state.lock().bound_us = bound_us;
    }

    /// What the phase came to, which ends here.
    pub(crate) fn report(&self) -> Value {
        let phase = std::mem::take(&mut self.state.lock().phase);
        json!({
            "reads": phase.reads,
            "l1": phase.tiers[0],
            "l2": phase.tiers[1],
            "source": phase.tiers[2],
            "behind": phase.behind,
            "worst_us": phase.worst_us,
            "errors": phase.errors,
            "broken": phase.broken,
            "told": phase.told,
        })
    }

    /// The newest version of each row.
    pub(crate) fn newest(&self, row: usize) -> u64 {
        self.state.lock().history.newest(row).version
    }
}

impl Phase {
    fn add(&mut self, read: &Read, history: &History, bound_us: u64) {
        let sentence = history.judge(read, bound_us);
        self.reads += 1;
        self.tiers[match read.tier {
            Tier::L1 => 0,
            Tier::L2 => 1,
            Tier::None => 2,
        }] += 1;
        if let Some(behind_us) = sentence.behind_us {
            self.behind += 1;
            self.worst_us = self.worst_us.max(behind_us);
        }
        for (name, what) in sentence.broken {
            *self.broken.entry(name).or_default() += 1;
            if self.told.len() < TOLD_MAX {
                self.told.push(format!("{name}: {what}"));
            }
        }
    }
}
