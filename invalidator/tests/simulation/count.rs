//! What the processes of a run went through, counted: a simulation in which nothing
//! happens proves nothing.

use cache_core::event::{
    Answer, CacheId, Event, Found, LeaseOutcome, Observer, RefreshOutcome, Tier, WriteOutcome,
};
use cache_core::metrics::Metrics;
use cache_core::model::key::Name;
use cache_core::testkit::equations;
use cache_core::testkit::scrape::Scrape;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted, with its name.
pub(crate) const COUNTED: [&str; 17] = [
    "hits in L1",
    "hits in L2",
    "loads by the source",
    "fills that came too late",
    "leases lost",
    "invalidations applied",
    "gaps",
    "buckets found behind",
    "buckets raised",
    "times that trust ended",
    "second looks that held",
    "second looks that found L2 or L1 too old",
    "values written through",
    "writes that invalidated only",
    "writes of which nobody knows",
    "stale answers",
    "values loaded ahead",
];

const VIOLATED: usize = 11;

/// Counts of one run, or of many.
#[derive(Debug, Default)]
pub(crate) struct Count([AtomicU64; COUNTED.len()]);

/// In one life of so many the series are kept as well: they take more time than the life.
const SERIES_ONE_IN: u64 = 16;

/// What all processes of one run are observed by: the counts, and in some runs the series that
/// operators see.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) count: Count,
    series: Option<(Metrics, Registry)>,
}

impl Observed {
    pub(crate) fn new(seed: u64) -> Self {
        let series = seed.is_multiple_of(SERIES_ONE_IN).then(|| {
            let mut registry = Registry::default();
            (Metrics::new(&mut registry), registry)
        });
        Self {
            count: Count::default(),
            series,
        }
    }

    /// The equations between series that do not hold. Who was killed never gave back its
    /// leases, nor dropped its L1.
    pub(crate) fn broken(&self) -> Vec<String> {
        let series = self.series.as_ref();
        series.map_or_else(Vec::new, |(_, registry)| {
            equations::broken(&Scrape::of(registry), false)
        })
    }
}

impl Observer for Observed {
    fn register(&self, cache: &Name) -> CacheId {
        let series = self.series.as_ref();
        series.map_or(CacheId(0), |(metrics, _)| metrics.register(cache))
    }

    fn observe(&self, event: &Event<'_>) {
        if let Some((metrics, _)) = &self.series {
            metrics.observe(event);
        }
        self.count.observe(event);
    }
}

impl Count {
    pub(crate) fn add(&self, other: &Self) {
        for (all, one) in self.0.iter().zip(&other.0) {
            all.fetch_add(one.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// How many second looks found L2 or an L1 too old.
    pub(crate) fn violated(&self) -> u64 {
        self.0[VIOLATED].load(Ordering::Relaxed)
    }

    pub(crate) fn all(&self) -> [u64; COUNTED.len()] {
        std::array::from_fn(|at| self.0[at].load(Ordering::Relaxed))
    }
}

impl Count {
    fn observe(&self, event: &Event<'_>) {
        let at = match event {
            Event::Get {
                tier: Tier::L1,
                answer: Answer::Hit,
                ..
            } => 0,
            Event::Get {
                tier: Tier::L2,
                answer: Answer::Hit,
                ..
            } => 1,
            Event::Load { .. } => 2,
            Event::Lease {
                outcome: LeaseOutcome::Superseded,
                ..
            } => 3,
            Event::Lease {
                outcome: LeaseOutcome::Lost,
                ..
            } => 4,
            Event::Applied { .. } => 5,
            Event::Gap { .. } => 6,
            Event::BucketBehind { .. } => 7,
            Event::BucketRaised { .. } => 8,
            Event::Trust { held: false } => 9,
            Event::Inspected {
                found: Found::Held, ..
            } => 10,
            Event::Inspected {
                found: Found::Violated,
                ..
            } => VIOLATED,
            Event::Get {
                answer: Answer::Stale,
                ..
            } => 15,
            Event::Write {
                outcome: WriteOutcome::Stored,
                ..
            } => 12,
            Event::Write {
                outcome: WriteOutcome::Invalidated,
                ..
            } => 13,
            Event::Write {
                outcome: WriteOutcome::Uncertain,
                ..
            } => 14,
            Event::Refresh {
                outcome: RefreshOutcome::Loaded,
                ..
            } => 16,
            _ => return,
        };
        self.0[at].fetch_add(1, Ordering::Relaxed);
    }
}
