//! The numbers behind the built-in page, as `/stats.json` gives them.

use crate::caches::Caches;
use crate::observe::{LagSummary, Watcher};
use serde::Serialize;
use std::time::Duration;

/// One look at the agent. Counters run from the start; readers take differences.
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    /// The agent's version.
    pub version: &'static str,
    /// Milliseconds since the start.
    pub uptime_ms: u64,
    /// Why the agent is not ready; null if it is.
    pub not_ready: Option<String>,
    /// Leases that callers hold now.
    pub leases: usize,
    /// This process as a member of its domain.
    pub agent: Member,
    /// The demo, where it runs.
    pub demo: Option<Demo>,
}

/// One process's part in the domain.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Member {
    /// Invalidations applied.
    pub invalidations: u64,
    /// Losses of bus messages noticed; each dropped all of L1.
    pub gaps: u64,
    /// Whether L1 may answer.
    pub l1_trusted: bool,
    /// The way of changes from their source to this process.
    pub lag: Lag,
    /// The caches.
    pub caches: Vec<CacheStats>,
}

/// The lags of the last while, in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Lag {
    /// How many were measured since the start.
    pub count: u64,
    /// The middle one.
    pub p50_ms: u64,
    /// 99 % were at most this.
    pub p99_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

/// One cache of one process.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CacheStats {
    /// The cache.
    pub name: String,
    /// Reads answered from L1, absences included.
    pub l1: u64,
    /// Reads answered from L2, absences included.
    pub l2: u64,
    /// Absences among them.
    pub negative: u64,
    /// Reads that found nothing cached.
    pub misses: u64,
    /// Reads answered with an error.
    pub errors: u64,
    /// Reads answered with an expired value, since its source is slow or fails.
    pub stale: u64,
    /// Loads from the source, for readers within this process.
    pub loads: u64,
    /// Those that did not end with an answer of the source.
    pub loads_failed: u64,
    /// Reads that shared another's load.
    pub coalesced: u64,
    /// Whether the source is left alone after too many loads failed.
    pub breaker_open: bool,
    /// Values of L2 that could not be read; each was a miss.
    pub codec_errors: u64,
    /// Entries in L1; lags a little behind.
    pub l1_entries: u64,
    /// Their bytes.
    pub l1_bytes: u64,
}

/// What the demo does and what its checker sees.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Demo {
    /// Rows in the database.
    pub rows: usize,
    /// Changes committed.
    pub commits: u64,
    /// Rows read from the database.
    pub database_reads: u64,
    /// Reads that the checker compared with the history of commits.
    pub checked: u64,
    /// Reads that missed a change committed longer ago than the bound.
    pub stale: u64,
    /// Reads that failed.
    pub failed: u64,
    /// The bound: how long after its commit a change may be missed by a read.
    pub bound_ms: u64,
    /// The second process's part, which shares L2 and the bus with the agent.
    pub other: Member,
}

impl Member {
    /// What a watcher has counted; `caches` adds the sizes of L1.
    pub fn of(watcher: &Watcher, caches: &Caches) -> Self {
        let process = watcher.metrics.process();
        let counts = watcher.metrics.caches().into_iter();
        let caches = counts.map(|counts| {
            let mut open = caches.open_ones();
            let cache = open.find(|cache| cache.policy().name.as_str() == counts.cache);
            let (l1_entries, l1_bytes) = cache.map_or((0, 0), |cache| cache.l1_size());
            CacheStats {
                l1: counts.l1_hits + counts.l1_negatives,
                l2: counts.l2_hits + counts.l2_negatives,
                negative: counts.l1_negatives + counts.l2_negatives,
                misses: counts.misses,
                errors: counts.errors,
                stale: counts.stale,
                loads: counts.loads,
                loads_failed: counts.loads_failed,
                coalesced: counts.coalesced,
                breaker_open: counts.breaker_open,
                codec_errors: counts.codec_errors,
                name: counts.cache,
                l1_entries,
                l1_bytes,
            }
        });
        Self {
            invalidations: process.invalidations,
            gaps: process.gaps,
            l1_trusted: process.l1_trusted,
            lag: watcher.lag().into(),
            caches: caches.collect(),
        }
    }

    /// Reads answered in all, from L1, and from L2.
    pub fn reads(&self) -> (u64, u64, u64) {
        let sum = |of: fn(&CacheStats) -> u64| self.caches.iter().map(of).sum();
        let all = sum(|cache| cache.l1 + cache.l2 + cache.stale + cache.misses + cache.errors);
        (all, sum(|cache| cache.l1), sum(|cache| cache.l2))
    }
}

impl From<LagSummary> for Lag {
    fn from(lag: LagSummary) -> Self {
        Self {
            count: lag.count,
            p50_ms: millis(lag.p50),
            p99_ms: millis(lag.p99),
            max_ms: millis(lag.max),
        }
    }
}

/// Whole milliseconds.
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
