//! The outbox's series.
//!
//! | series | it answers |
//! | --- | --- |
//! | `cacheaside_outbox_events_total` | what was carried into the stream |
//! | `cacheaside_outbox_failures_total` | how often carrying failed and began anew |
//! | `cacheaside_outbox_lag_seconds` | how long the last row that was carried had waited |
//! | `cacheaside_outbox_last_looked_timestamp_seconds` | silence is not health: it looks |

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

/// The series.
#[derive(Debug, Default)]
pub struct Series {
    events: Counter,
    failures: Counter,
    lag: Gauge<f64, AtomicU64>,
    last_looked: Gauge<f64, AtomicU64>,
}

impl Series {
    /// Registers all of them.
    pub fn new(registry: &mut Registry) -> Self {
        let series = Self::default();
        let own = registry.sub_registry_with_prefix("cacheaside_outbox");
        own.register(
            "events",
            "Events carried into the stream",
            series.events.clone(),
        );
        let help = "How often carrying failed and began anew";
        own.register("failures", help, series.failures.clone());
        let help = "How long the last row that was carried had waited";
        own.register("lag_seconds", help, series.lag.clone());
        let help = "When the table was last looked at";
        own.register(
            "last_looked_timestamp_seconds",
            help,
            series.last_looked.clone(),
        );
        series
    }

    /// So many events were carried; the oldest had waited this long.
    pub fn carried(&self, events: usize, waited_s: f64, now_ms: u64) {
        self.events.inc_by(events as u64);
        self.lag.set(waited_s);
        self.last_looked.set(now_ms as f64 / 1e3);
    }

    /// Carrying failed.
    pub fn failed(&self) {
        self.failures.inc();
    }
}
