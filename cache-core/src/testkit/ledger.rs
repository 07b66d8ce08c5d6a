//! A source of record that remembers every commit, and judges every read.

use crate::clock::{Clock, Tick};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Rows whose versions only grow, with the moment of every commit.
#[derive(Debug)]
pub struct Ledger {
    clock: Arc<dyn Clock>,
    rows: Vec<Mutex<Vec<Tick>>>,
    verdict: Mutex<Verdict>,
}

/// What all reads so far add up to.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Reads judged.
    pub reads: u64,
    /// Reads of a version that had been replaced before the read began, within
    /// the bound.
    pub behind: u64,
    /// The longest time by which a read was behind.
    pub worst: Duration,
    /// Reads that broke the bound, the first few in words.
    pub violations: Vec<String>,
}

/// The most violations told in words.
const TOLD_MAX: usize = 20;

impl Ledger {
    /// `count` rows, each at version 1 since the clock's start.
    pub fn new(count: usize, clock: Arc<dyn Clock>) -> Self {
        let rows = (0..count)
            .map(|_| Mutex::new(vec![Tick::default()]))
            .collect();
        Self {
            clock,
            rows,
            verdict: Mutex::default(),
        }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The current version of a row, as a loader reads it.
    pub fn version(&self, row: usize) -> u64 {
        self.rows[row].lock().len() as u64
    }

    /// Commits the next version of a row.
    pub fn commit(&self, row: usize) -> u64 {
        let mut commits = self.rows[row].lock();
        // Dated before it can be read: a reader never looks younger than its row.
        commits.push(self.clock.now());
        commits.len() as u64
    }

    /// Judges a read of `version` that began at `began`: every version committed
    /// more than `bound` before must be in it.
    pub fn judge(&self, row: usize, version: u64, began: Tick, bound: Duration) {
        let replaced = self.rows[row].lock().get(version as usize).copied();
        let mut verdict = self.verdict.lock();
        verdict.reads += 1;
        let Some(replaced) = replaced.filter(|replaced| *replaced < began) else {
            return;
        };
        let behind = began.since(replaced);
        verdict.behind += 1;
        verdict.worst = verdict.worst.max(behind);
        if behind > bound && verdict.violations.len() < TOLD_MAX {
            verdict.violations.push(format!(
                "row {row}: version {version} was served {behind:?} after it had been replaced"
            ));
        }
    }

    /// What all reads so far add up to.
    pub fn verdict(&self) -> Verdict {
        self.verdict.lock().clone()
    }
}
