//! The document that the page asks for each second.

use crate::page::looked::Looked;
use crate::stats::{Demo, Lag};
use cache_core::ops::page::parts::About;
use cache_core::ops::page::series::{self, Series};
use serde::Serialize;
use std::time::Duration;

/// All series that the page reads.
pub const SERIES: [&str; 18] = [
    "cacheaside_breaker_open",
    "cacheaside_bucket_behind_reads_total",
    "cacheaside_buckets_raised_total",
    "cacheaside_bus_gaps_total",
    "cacheaside_coalesced_total",
    "cacheaside_get_duration_seconds",
    "cacheaside_gets_total",
    "cacheaside_inspections_total",
    "cacheaside_invalidation_lag_seconds",
    "cacheaside_invalidations_total",
    "cacheaside_l1_bytes",
    "cacheaside_l1_drops_total",
    "cacheaside_l1_entries",
    "cacheaside_l1_trusted",
    "cacheaside_l2_command_duration_seconds",
    "cacheaside_leases_total",
    "cacheaside_load_duration_seconds",
    "cacheaside_loads_total",
];
/// How many hot keys are shown.
const HOT_KEYS: usize = 10;

/// One look at the agent. Counters run from the start; the page takes differences.
#[derive(Debug, Serialize)]
pub struct Sight {
    about: About,
    series: Series,
    lag: Lag,
    keys: Keys,
    demo: Option<Demo>,
}

/// The keys asked for most.
#[derive(Debug, Default, Serialize)]
struct Keys {
    /// Whether keys are for whoever sees the page.
    shown: bool,
    /// How long they were counted, in milliseconds.
    over_ms: u64,
    hot: Vec<Hot>,
}

#[derive(Debug, Serialize)]
struct Hot {
    cache: String,
    /// As text, whatever its bytes are.
    key: String,
    reads: u64,
    error: u64,
}

impl Sight {
    /// With the hot keys of one cache, if one of this name is known.
    pub fn of(looked: &Looked, named: Option<&str>) -> Self {
        let stats = (looked.look)();
        let uptime = Duration::from_millis(stats.uptime_ms);
        Self {
            about: About::new(stats.version, uptime, stats.not_ready),
            series: series::read(&looked.registry, &SERIES),
            lag: stats.agent.lag,
            keys: Keys::of(looked, named),
            demo: stats.demo,
        }
    }
}

impl Keys {
    fn of(looked: &Looked, named: Option<&str>) -> Self {
        if looked.callers.ask() {
            return Self::default();
        }
        let cache = named.and_then(|name| looked.agent.caches.known(name).ok());
        let (hottest, over) = looked.agent.hot.hottest(cache.as_ref(), HOT_KEYS);
        let hot = hottest.into_iter().map(|hot| Hot {
            cache: hot.cache.as_str().to_owned(),
            key: String::from_utf8_lossy(&hot.key).into_owned(),
            reads: hot.reads,
            error: hot.error,
        });
        Self {
            shown: true,
            over_ms: crate::stats::millis(over),
            hot: hot.collect(),
        }
    }
}
