//! Events become Prometheus series. Names and meanings stand in the manual.
//!
//! A cache's series are looked up once, when it is opened; a hit then costs one
//! atomic increment.

use crate::event::{CACHES_MAX, CacheId, Event, Found, Observer, TargetKind, Tier};
use crate::model::key::Name;
use crate::model::second_look::SecondLook;
use crate::queue_series::{QueueFamilies, QueueSeries};
use crate::series::{CacheSeries, Families, Labels, Registration, pick, remote_histogram};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::sync::OnceLock;

/// The series of this process.
#[derive(Debug)]
pub struct Metrics {
    families: Families,
    names: Mutex<Vec<Name>>,
    caches: Box<[OnceLock<CacheSeries>]>,
    queue_families: QueueFamilies,
    queues: Box<[OnceLock<QueueSeries>]>,
    applied: [Counter; 3],
    announced: [Counter; 2],
    lag: Histogram,
    gaps: Counter,
    trusted: Gauge,
    buckets_raised: Counter,
    buckets_behind: Counter,
    /// By tier, look and what was found.
    inspections: [[[Counter; 3]; 3]; 2],
    remote: Family<Labels<2>, Counter>,
    remote_time: Family<Labels<1>, Histogram>,
    /// Got, and sent.
    remote_bytes: [Counter; 2],
}

/// One cache's counters at a moment, for the built-in page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// The cache.
    pub cache: String,
    /// Values answered from L1.
    pub l1_hits: u64,
    /// Absences answered from L1.
    pub l1_negatives: u64,
    /// Values answered from L2.
    pub l2_hits: u64,
    /// Absences answered from L2.
    pub l2_negatives: u64,
    /// Reads answered with an expired entry, because the source is slow or fails.
    pub stale: u64,
    /// Reads that found nothing cached.
    pub misses: u64,
    /// Reads answered with an error.
    pub errors: u64,
    /// Loads run.
    pub loads: u64,
    /// Loads that did not end with an answer of the source, or were not begun.
    pub loads_failed: u64,
    /// Reads that shared another's load.
    pub coalesced: u64,
    /// Whether the source is left alone.
    pub breaker_open: bool,
    /// Values of L2 that could not be read.
    pub codec_errors: u64,
}

/// What this process as a whole counts, for the built-in page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessCounts {
    /// Invalidations applied.
    pub invalidations: u64,
    /// Losses noticed; each dropped all of L1.
    pub gaps: u64,
    /// Whether L1 may answer.
    pub l1_trusted: bool,
    /// Buckets whose older values were refused after L2 had lost writes.
    pub buckets_raised: u64,
}

impl Metrics {
    /// Registers all series.
    pub fn new(registry: &mut Registry) -> Self {
        let mut registry = Registration(registry);
        let kinds = registry.family("invalidations", "Invalidations applied in this process");
        let announced = registry.family(
            "announcements",
            "Invalidations sent by this process, by whether L2 had applied them first",
        );
        let inspections = registry.family(
            "inspections",
            "Second looks at announced invalidations, by tier, time and what was found",
        );
        let lag = Histogram::new(exponential_buckets(0.001, 2.0, 17));
        let help =
            "Time from the change at its source until this process had applied it, in seconds";
        registry.add("invalidation_lag_seconds", help, lag.clone());
        let remote_time = Family::new_with_constructor(remote_histogram as fn() -> Histogram);
        let help = "Time one step of L2 took, in seconds";
        registry.add("l2_command_duration_seconds", help, remote_time.clone());
        let help = "Bytes of values that went between this process and L2, by direction";
        let remote_bytes = registry.family("l2_bytes", help);
        Self {
            applied: ["key", "tag", "bucket"].map(|kind| pick(&kinds, [("kind", kind)])),
            inspections: inspection_series(&inspections),
            announced: ["false", "true"].map(|l2| pick(&announced, [("l2", l2)])),
            lag,
            gaps: registry.counter(
                "bus_gaps",
                "Losses of bus messages noticed; each dropped all of L1",
            ),
            trusted: registry.gauge("l1_trusted", "1 while L1 may answer"),
            buckets_raised: registry.counter(
                "buckets_raised",
                "Buckets whose older values were refused, because L2 had lost writes",
            ),
            buckets_behind: registry.counter(
                "bucket_behind_reads",
                "Reads of L2 refused, because their bucket was behind what was heard",
            ),
            remote: registry.family("l2_commands", "Steps asked of L2, by outcome"),
            remote_time,
            remote_bytes: ["got", "sent"]
                .map(|direction| pick(&remote_bytes, [("direction", direction)])),
            families: Families::new(&mut registry),
            names: Mutex::default(),
            caches: (0..CACHES_MAX).map(|_| OnceLock::new()).collect(),
            queue_families: QueueFamilies::new(&mut registry),
            queues: (0..CACHES_MAX).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Every cache's counters.
    pub fn caches(&self) -> Vec<CacheCounts> {
        let names = self.names.lock().clone();
        let counts = names
            .iter()
            .zip(self.caches.iter())
            .filter_map(|(name, series)| {
                let series = series.get()?;
                let gets = series.gets.each_ref().map(Counter::get);
                Some(CacheCounts {
                    cache: name.as_str().to_owned(),
                    l1_hits: gets[0],
                    l1_negatives: gets[1],
                    l2_hits: gets[2],
                    l2_negatives: gets[3],
                    stale: gets[6] + gets[7],
                    misses: gets[4],
                    errors: gets[5],
                    loads: series.loads.iter().map(Counter::get).sum(),
                    // Those after a value and an absence.
                    loads_failed: series.loads[2..].iter().map(Counter::get).sum(),
                    coalesced: series.coalesced.get(),
                    breaker_open: series.breaker_open.get() == 1,
                    codec_errors: series.codec_errors.get(),
                })
            });
        counts.collect()
    }

    /// Values of a cache in L2 that could not be read.
    pub fn codec_errors(&self, cache: &str) -> u64 {
        let at = self
            .names
            .lock()
            .iter()
            .position(|name| name.as_str() == cache);
        let series = at.and_then(|at| self.caches[at].get());
        series.map_or(0, |series| series.codec_errors.get())
    }

    /// The process's counters.
    pub fn process(&self) -> ProcessCounts {
        ProcessCounts {
            invalidations: self.applied.iter().map(Counter::get).sum(),
            gaps: self.gaps.get(),
            l1_trusted: self.trusted.get() == 1,
            buckets_raised: self.buckets_raised.get(),
        }
    }

    /// The series of a cache's queue; most caches have none.
    fn queue(&self, id: CacheId) -> Option<&QueueSeries> {
        let at = usize::from(id.0);
        let series = || {
            let name = self.names.lock().get(at).cloned();
            let name = name.as_ref().map_or("", Name::as_str);
            QueueSeries::new(&self.queue_families, name)
        };
        Some(self.queues.get(at)?.get_or_init(series))
    }

    /// L2 was asked for something.
    fn asked(&self, event: &Event<'_>) {
        let &Event::Remote {
            step,
            ok,
            took,
            bytes,
        } = event
        else {
            return;
        };
        self.remote_bytes[usize::from(step != "read")].inc_by(bytes as u64);
        let outcome = if ok { "ok" } else { "error" };
        pick(&self.remote, [("command", step), ("outcome", outcome)]).inc();
        let step = Labels([("command", step.to_owned())]);
        let time = self.remote_time.get_or_create(&step);
        time.observe(took.as_secs_f64());
    }

    fn cache(&self, id: CacheId) -> Option<&CacheSeries> {
        self.caches.get(usize::from(id.0))?.get()
    }
}

impl Observer for Metrics {
    /// A cache beyond the limit shares the last one's number, and its series.
    fn register(&self, cache: &Name) -> CacheId {
        let mut names = self.names.lock();
        let at = names
            .iter()
            .position(|name| name == cache)
            .unwrap_or_else(|| {
                if names.len() < CACHES_MAX {
                    names.push(cache.clone());
                }
                names.len() - 1
            });
        let series = || CacheSeries::new(&self.families, cache.as_str());
        self.caches[at].get_or_init(series);
        CacheId(at as u16)
    }

    fn observe(&self, event: &Event<'_>) {
        match *event {
            Event::Get { cache, .. }
            | Event::Load { cache, .. }
            | Event::LoadTurns { cache, .. }
            | Event::Breaker { cache, .. }
            | Event::Write { cache, .. }
            | Event::Refresh { cache, .. }
            | Event::Coalesced { cache }
            | Event::Lease { cache, .. }
            | Event::Put { cache, .. }
            | Event::Dropped { cache, .. }
            | Event::L1Size { cache, .. }
            | Event::Shadow { cache, .. }
            | Event::Undecodable { cache, .. } => {
                if let Some(series) = self.cache(cache) {
                    series.observe(event);
                }
            }
            Event::Queue { cache, what } => {
                if let Some(series) = self.queue(cache) {
                    series.observe(what);
                }
            }
            Event::Applied { kind, lag } => {
                self.applied[kind_index(kind)].inc();
                if let Some(lag) = lag {
                    self.lag.observe(lag.as_secs_f64());
                }
            }
            Event::Announced { l2 } => {
                self.announced[usize::from(l2)].inc();
            }
            Event::Gap { reason } => {
                self.gaps.inc();
                tracing::warn!(reason, "bus messages may be lost, L1 was dropped");
            }
            Event::Trust { held } => {
                self.trusted.set(held.into());
                tracing::info!(held, "whether L1 is trusted has changed");
            }
            Event::BucketRaised { bucket } => {
                self.buckets_raised.inc();
                let bucket = bucket.0;
                tracing::warn!(
                    bucket,
                    "L2 lost writes of a bucket, its older values are refused"
                );
            }
            Event::BucketBehind { .. } => {
                self.buckets_behind.inc();
            }
            Event::Inspected { tier, look, found } => {
                let series = &self.inspections[usize::from(tier != Tier::L1)];
                series[look.index()][found_index(found)].inc();
            }
            Event::Remote { .. } => self.asked(event),
        }
    }
}

/// A series for each tier, look and outcome, so that none of them begins with a count.
fn inspection_series(family: &Family<Labels<3>, Counter>) -> [[[Counter; 3]; 3]; 2] {
    let labels = |tier, look, outcome| [("tier", tier), ("look", look), ("outcome", outcome)];
    ["l1", "l2"].map(|tier| {
        SecondLook::ALL.map(|look| {
            ["held", "violated", "unknown"]
                .map(|outcome| pick(family, labels(tier, look.word(), outcome)))
        })
    })
}

fn found_index(found: Found) -> usize {
    match found {
        Found::Held => 0,
        Found::Violated => 1,
        Found::Unknown => 2,
    }
}

fn kind_index(kind: TargetKind) -> usize {
    match kind {
        TargetKind::Key => 0,
        TargetKind::Tag => 1,
        TargetKind::Bucket => 2,
    }
}
