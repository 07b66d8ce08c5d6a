//! The series of one cache's queue of writes.

use crate::event::{FlushOutcome, QueueEvent, QueueOutcome};
use crate::series::{Labels, Registration, pick};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::atomic::AtomicU64;

/// The families that every cache with a queue has series in.
#[derive(Debug)]
pub(crate) struct QueueFamilies {
    pushed: Family<Labels<2>, Counter>,
    flushes: Family<Labels<2>, Counter>,
    flushed: Family<Labels<1>, Counter>,
    aside: Family<Labels<1>, Counter>,
    lost: Family<Labels<1>, Counter>,
    waiting: Family<Labels<1>, Gauge>,
    oldest: Family<Labels<1>, Gauge<f64, AtomicU64>>,
}

/// The series of one cache, looked up once.
#[derive(Debug)]
pub(crate) struct QueueSeries {
    pushed: [Counter; 4],
    flushes: [Counter; 3],
    flushed: Counter,
    aside: Counter,
    lost: Counter,
    waiting: Gauge,
    oldest: Gauge<f64, AtomicU64>,
}

const PUSHED: [&str; 4] = ["taken", "full", "uncertain", "unavailable"];
const FLUSHES: [&str; 3] = ["written", "refused", "failed"];

impl QueueFamilies {
    /// Registers them.
    pub(crate) fn new(registry: &mut Registration<'_>) -> Self {
        let waiting = Family::default();
        let help =
            "Writes that the source has not got yet, as the process that writes them sees it";
        registry.add("queue_waiting", help, waiting.clone());
        let oldest = Family::default();
        let help =
            "How long the oldest of them has waited, in seconds: what is lost with the queue";
        registry.add("queue_oldest_seconds", help, oldest.clone());
        Self {
            pushed: registry.family("queue_writes", "Writes given to the queue, by outcome"),
            flushes: registry.family(
                "queue_flushes",
                "Calls of the writer, each with the last write of many keys, by outcome",
            ),
            flushed: registry.family("queue_flushed", "Writes that the source has got"),
            aside: registry.family(
                "queue_put_aside",
                "Writes that the source will never take, kept aside for people",
            ),
            lost: registry.family(
                "queue_lost",
                "Writes that were in a queue in memory when its process ended",
            ),
            waiting,
            oldest,
        }
    }
}

impl QueueSeries {
    /// A cache's series in every family.
    pub(crate) fn new(families: &QueueFamilies, cache: &str) -> Self {
        let of_cache = Labels([("cache", cache.to_owned())]);
        Self {
            pushed: PUSHED
                .map(|outcome| pick(&families.pushed, [("cache", cache), ("outcome", outcome)])),
            flushes: FLUSHES
                .map(|outcome| pick(&families.flushes, [("cache", cache), ("outcome", outcome)])),
            flushed: pick(&families.flushed, [("cache", cache)]),
            aside: pick(&families.aside, [("cache", cache)]),
            lost: pick(&families.lost, [("cache", cache)]),
            waiting: families.waiting.get_or_create(&of_cache).clone(),
            oldest: families.oldest.get_or_create(&of_cache).clone(),
        }
    }

    /// Counts what happened to the queue.
    pub(crate) fn observe(&self, event: QueueEvent) {
        match event {
            QueueEvent::Pushed(outcome) => {
                self.pushed[pushed_index(outcome)].inc();
            }
            QueueEvent::Flushed {
                outcome, writes, ..
            } => {
                self.flushes[flush_index(outcome)].inc();
                if outcome == FlushOutcome::Written {
                    self.flushed.inc_by(writes);
                }
            }
            QueueEvent::PutAside => {
                self.aside.inc();
            }
            QueueEvent::Lost { writes } => {
                self.lost.inc_by(writes);
            }
            QueueEvent::Backlog { waiting, oldest } => {
                self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
                self.oldest.set(oldest.as_secs_f64());
            }
        }
    }
}

fn pushed_index(outcome: QueueOutcome) -> usize {
    match outcome {
        QueueOutcome::Taken => 0,
        QueueOutcome::Full => 1,
        QueueOutcome::Uncertain => 2,
        QueueOutcome::Unavailable => 3,
    }
}

fn flush_index(outcome: FlushOutcome) -> usize {
    match outcome {
        FlushOutcome::Written => 0,
        FlushOutcome::Refused => 1,
        FlushOutcome::Failed => 2,
    }
}
