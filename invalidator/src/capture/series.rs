//! The capture's series.
//!
//! | series | it answers |
//! | --- | --- |
//! | `cacheaside_capture_active` | 1 where this instance reads the log, 0 where another one does |
//! | `cacheaside_capture_events_total` | what was written into the stream |
//! | `cacheaside_capture_transactions_total` | how many transactions the database sent |
//! | `cacheaside_capture_skipped_total` | what came again after a restart, and was in the stream |
//! | `cacheaside_capture_lost_total` | how often changes may be missing, and every cache was cleared |
//! | `cacheaside_capture_sessions_total` | how often it began to read; each again after a failure |
//! | `cacheaside_capture_barrier_waits_total` | how often events waited until readers saw their transaction |
//! | `cacheaside_capture_lag_seconds` | from commit to stored, of the last transaction |
//! | `cacheaside_capture_last_stored_timestamp_seconds` | silence is not health: it beats |
//! | `cacheaside_capture_retained_bytes` | the log that the database keeps for it |

use crate::capture::reader::Batch;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};
use std::sync::atomic::AtomicU64;

/// The series.
#[derive(Debug, Default)]
pub struct Series {
    active: Gauge,
    events: Counter,
    transactions: Counter,
    skipped: Counter,
    lost: Counter,
    sessions: Counter,
    barrier_waits: Counter,
    lag: Gauge<f64, AtomicU64>,
    last_stored: Gauge<f64, AtomicU64>,
    retained: Gauge,
}

impl Series {
    /// Registers all of them.
    pub fn new(registry: &mut Registry) -> Self {
        let series = Self::default();
        let own = registry.sub_registry_with_prefix("cacheaside_capture");
        add(
            own,
            "active",
            "Whether this instance reads the log",
            &series.active,
        );
        add(
            own,
            "events",
            "Events written into the stream",
            &series.events,
        );
        let help = "Transactions that the database sent";
        add(own, "transactions", help, &series.transactions);
        let help = "Events that came again and were stored already";
        add(own, "skipped", help, &series.skipped);
        let help = "How often changes may be missing, and every cache was cleared";
        add(own, "lost", help, &series.lost);
        add(
            own,
            "sessions",
            "How often the log was begun to be read",
            &series.sessions,
        );
        let help = "How often events waited until readers saw their transaction";
        add(own, "barrier_waits", help, &series.barrier_waits);
        let help = "Time from the commit of the last transaction until it was stored";
        add(own, "lag_seconds", help, &series.lag);
        let help = "When the last event was stored";
        add(
            own,
            "last_stored_timestamp_seconds",
            help,
            &series.last_stored,
        );
        let help = "Bytes of its log that the database keeps";
        add(own, "retained_bytes", help, &series.retained);
        series
    }

    /// This instance reads the log, or does not.
    pub fn active(&self, is_active: bool) {
        self.active.set(is_active.into());
        if is_active {
            self.sessions.inc();
        }
    }

    /// Changes may be missing.
    pub fn lost(&self) {
        self.lost.inc();
    }

    /// Events wait until readers see their transaction.
    pub fn waits(&self) {
        self.barrier_waits.inc();
    }

    /// A batch is stored.
    pub fn stored(&self, batch: &Batch, now_ms: u64) {
        self.events.inc_by(batch.events.len() as u64);
        self.transactions.inc_by(batch.transactions);
        self.skipped.inc_by(batch.skipped);
        if let Some(committed_ms) = batch.committed_ms {
            self.lag
                .set(now_ms.saturating_sub(committed_ms) as f64 / 1e3);
        }
        if !batch.events.is_empty() {
            self.last_stored.set(now_ms as f64 / 1e3);
        }
    }

    /// The database keeps so many bytes of its log.
    pub fn retained(&self, bytes: u64) {
        self.retained.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

fn add(registry: &mut Registry, name: &str, help: &str, metric: &(impl Metric + Clone)) {
    registry.register(name, help, metric.clone());
}
