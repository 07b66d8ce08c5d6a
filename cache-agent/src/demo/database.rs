//! The demo's database: rows with versions, a log of commits, and a history to
//! check reads against.

use crate::demo::{BOUND, key};
use bytes::Bytes;
use cache_core::clock::{Clock, Tick};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How many commits of one row are remembered. Commits of one row that are older
/// than the bound need only the last of them.
const HISTORY: usize = 64;
/// The shortest and the longest read: a fast database, not an instant one.
const READ_MIN: Duration = Duration::from_millis(2);
const READ_SPREAD: Duration = Duration::from_millis(3);

/// One commit, as the log carries it to the invalidator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The row.
    pub row: usize,
    /// Its place in the log, from 1.
    pub offset: u64,
    /// When it was committed, by the wall clock.
    pub wall_ms: u64,
}

/// A database in memory.
#[derive(Debug)]
pub struct Database {
    clock: Arc<dyn Clock>,
    rows: Vec<Mutex<VecDeque<Version>>>,
    offsets: Mutex<u64>,
    reads: AtomicU64,
    log: mpsc::Sender<Commit>,
}

/// One version of a row, and when it was committed.
#[derive(Clone, Copy, Debug)]
struct Version {
    number: u64,
    committed: Tick,
}

impl Database {
    /// A database whose commits go into `log`.
    pub fn new(rows: usize, clock: Arc<dyn Clock>, log: mpsc::Sender<Commit>) -> Self {
        let first = Version {
            number: 1,
            committed: clock.now(),
        };
        Self {
            clock,
            rows: (0..rows)
                .map(|_| Mutex::new(VecDeque::from([first])))
                .collect(),
            offsets: Mutex::new(0),
            reads: AtomicU64::new(0),
            log,
        }
    }

    /// Commits a new version of a row. Waits while the log is full, as a database
    /// does whose log nobody reads.
    pub async fn commit(&self, row: usize) {
        let Ok(place) = self.log.reserve().await else {
            return;
        };
        // One lock around the commit and its place in the log: the log's order is
        // the order of commits.
        let mut offsets = self.offsets.lock();
        *offsets += 1;
        let mut versions = self.rows[row].lock();
        let number = versions.back().map_or(0, |last| last.number) + 1;
        if versions.len() == HISTORY {
            versions.pop_front();
        }
        versions.push_back(Version {
            number,
            committed: self.clock.now(),
        });
        place.send(Commit {
            row,
            offset: *offsets,
            wall_ms: self.clock.wall_ms(),
        });
    }

    /// Reads a row. The value is that of one moment within the read.
    pub async fn read(&self, row: usize, share: f64) -> Bytes {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let span = READ_MIN + READ_SPREAD.mul_f64(share);
        tokio::time::sleep(span / 2).await;
        let number = self.rows[row].lock().back().map_or(0, |last| last.number);
        tokio::time::sleep(span / 2).await;
        let (id, name) = (row, key(row));
        format!(r#"{{"id":{id},"name":"{name}","version":{number}}}"#).into()
    }

    /// Whether a read that began at `began` and got this value missed a change
    /// that was committed more than the bound before.
    pub fn is_stale(&self, row: usize, value: &[u8], began: Tick) -> bool {
        let got = version_of(value).unwrap_or(0);
        let versions = self.rows[row].lock();
        let due = |version: &&Version| began.since(version.committed) > BOUND;
        versions
            .iter()
            .rev()
            .find(due)
            .is_some_and(|version| got < version.number)
    }

    /// Commits and reads so far.
    pub fn counts(&self) -> (u64, u64) {
        (*self.offsets.lock(), self.reads.load(Ordering::Relaxed))
    }
}

fn version_of(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let (_, number) = text.rsplit_once(':')?;
    number.strip_suffix('}')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::clock::SystemClock;

    #[derive(Debug, Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Tick {
            Tick::at(Duration::from_millis(self.0.load(Ordering::Relaxed)))
        }

        fn wall_ms(&self) -> u64 {
            0
        }
    }

    #[tokio::test]
    async fn the_checker_finds_a_read_that_is_too_old() {
        let clock = Arc::new(Hand::default());
        let (log, mut commits) = mpsc::channel(8);
        let database = Database::new(1, clock.clone(), log);
        let old = database.read(0, 0.0).await;
        clock.0.store(1_000, Ordering::Relaxed);
        database.commit(0).await;
        let new = database.read(0, 0.0).await;
        let at = |millis| Tick::at(Duration::from_millis(millis));
        assert!(!database.is_stale(0, &old, at(1_250)), "within the bound");
        assert!(database.is_stale(0, &old, at(1_251)));
        assert!(!database.is_stale(0, &new, at(9_000)));
        assert!(database.is_stale(0, b"garbage", at(9_000)));
        assert_eq!(commits.recv().await.map(|commit| commit.offset), Some(1));
        assert_eq!(database.counts(), (1, 2));
    }

    #[tokio::test]
    async fn a_row_remembers_only_so_many_commits() {
        let (log, mut commits) = mpsc::channel(256);
        let database = Database::new(1, Arc::new(SystemClock::new()), log);
        for _ in 0..200 {
            database.commit(0).await;
        }
        assert_eq!(database.rows[0].lock().len(), HISTORY);
        let mut offsets = Vec::new();
        while let Ok(commit) = commits.try_recv() {
            offsets.push(commit.offset);
        }
        assert!(offsets.is_sorted() && offsets.len() == 200);
    }
}
