//! What one reading process is told of commits, and how it judges its reads.

use crate::reader::Reader;
use crate::rows::{ROWS, wall_us};
use cache_core::testkit::until::pace;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// The most violations told in words.
const TOLD_MAX: usize = 5;

/// Commits by row: the version, and when it was committed.
#[derive(Default)]
pub(crate) struct Judge {
    commits: Vec<Mutex<Vec<(u64, u64)>>>,
    bound_us: u64,
    reads: AtomicU64,
    behind: AtomicU64,
    worst_us: AtomicU64,
    errors: AtomicU64,
    violations: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Judge {
    pub(crate) fn new(bound: Duration) -> Arc<Self> {
        Arc::new(Self {
            commits: (0..ROWS).map(|_| Mutex::default()).collect(),
            bound_us: bound.as_micros() as u64,
            ..Self::default()
        })
    }

    /// A commit that the writer tells of.
    pub(crate) fn committed(&self, row: i64, version: u64, at_us: u64) {
        let mut commits = self.commits[row as usize].lock().expect("no panic");
        commits.push((version, at_us));
    }

    /// Reads every row over and over.
    pub(crate) async fn read(self: Arc<Self>, reader: Reader, first: i64) {
        let mut row = first;
        while !self.stop.load(Ordering::Relaxed) {
            row = (row + 1) % ROWS;
            self.read_one(&reader, row).await;
            pace(Duration::from_millis(2)).await;
        }
    }

    /// Reads a row until it has the version; returns the microseconds since its commit.
    pub(crate) async fn watch(&self, reader: &Reader, row: i64, version: u64, at_us: u64) -> u64 {
        while self
            .read_one(reader, row)
            .await
            .is_none_or(|seen| seen < version)
        {
            if self.stop.load(Ordering::Relaxed) {
                return u64::MAX;
            }
            pace(Duration::from_micros(300)).await;
        }
        wall_us().saturating_sub(at_us)
    }

    async fn read_one(&self, reader: &Reader, row: i64) -> Option<u64> {
        let began = wall_us();
        match reader.version(row).await {
            Ok(version) => {
                self.judge(row, version, began);
                Some(version)
            }
            Err(error) => {
                if self.errors.fetch_add(1, Ordering::Relaxed) < TOLD_MAX as u64 {
                    eprintln!("a reader saw: {error}");
                }
                None
            }
        }
    }

    fn judge(&self, row: i64, version: u64, began: u64) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let commits = self.commits[row as usize].lock().expect("no panic");
        // The first newer version that had been committed when the read began.
        let newer = commits
            .iter()
            .filter(|(newer, at)| *newer > version && *at < began);
        let Some(at) = newer.map(|(_, at)| *at).min() else {
            return;
        };
        drop(commits);
        let behind = began - at;
        self.behind.fetch_add(1, Ordering::Relaxed);
        self.worst_us.fetch_max(behind, Ordering::Relaxed);
        if behind > self.bound_us {
            let mut violations = self.violations.lock().expect("no panic");
            violations.push(format!(
                "row {row}: version {version} served {behind} us late"
            ));
        }
    }

    /// Ends the reading, and says what it came to in numbers: reads, those behind
    /// their commit, the worst in microseconds, errors, those beyond the bound.
    pub(crate) async fn finish(&self, mut readers: JoinSet<()>) -> String {
        self.stop.store(true, Ordering::Relaxed);
        while readers.join_next().await.is_some() {}
        let violations = self.violations.lock().expect("no panic");
        let told: Vec<_> = violations.iter().take(TOLD_MAX).cloned().collect();
        format!(
            "{} {} {} {} {} {}",
            self.reads.load(Ordering::Relaxed),
            self.behind.load(Ordering::Relaxed),
            self.worst_us.load(Ordering::Relaxed),
            self.errors.load(Ordering::Relaxed),
            violations.len(),
            told.join("; "),
        )
    }
}
