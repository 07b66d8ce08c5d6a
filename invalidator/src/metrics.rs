//! The invalidator's own series, beside those of its domain.
//!
//! | series | labels | it answers |
//! | --- | --- | --- |
//! | `cacheaside_invalidator_events_total` | rule, op, outcome | what comes in and what becomes of it |
//! | `cacheaside_invalidator_keys_per_event` | rule | which rule fans out how far |
//! | `cacheaside_invalidator_dead_letters_total` | rule | what could not be read |
//! | `cacheaside_invalidator_lag_seconds` | stage | where time goes between commit and announcement |
//! | `cacheaside_invalidator_redelivered_total` | stream | what came more than once |
//! | `cacheaside_invalidator_in_flight` | - | what is being worked on; at its limit, nothing more is taken |
//! | `cacheaside_invalidator_late` | - | what waits for a part of L2, or for the bus |
//! | `cacheaside_invalidator_consumer_pending` | stream | the backlog |
//! | `cacheaside_invalidator_ack_pending` | stream | what all instances together work on |
//! | `cacheaside_invalidator_overruns_total` | stream | how often events were dropped unread, and all was cleared |
//! | `cacheaside_invalidator_last_event_timestamp_seconds` | stream | silence is not health |
//! | `cacheaside_invalidator_epoch` | - | the epoch of its positions; each rise is a cold cache |
//! | `cacheaside_invalidator_paused` | - | 1 while no event is taken because somebody said so |
//! | `cacheaside_invalidator_inspector_nines` | - | the share of second looks that held: 3 is 99.9 % |
//! | `cacheaside_invalidator_inspector_l1_violations_total` | - | how often a process told that its L1 held something too old |
//! | `cacheaside_invalidator_inspector_not_sampled_total` | - | what was announced and is not looked at again |
//!
//! The looks themselves are `cacheaside_inspections_total` (tier, look, outcome), which
//! every process of the domain has: an invalidator for L2, the others each for its L1s.

use crate::decide::{Counted, Decision};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};
use std::sync::atomic::AtomicU64;

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What all names begin with.
const PREFIX: &str = "cacheaside_invalidator";

/// A stage of an event's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// From the commit at the source until the stream had the event: the relay.
    SourceToStream,
    /// From there until L2 had applied it and the bus carried it: this service.
    StreamToAnnounced,
}

/// The invalidator's series.
#[derive(Debug)]
pub struct Metrics {
    events: Family<EventLabels, Counter>,
    keys: Family<RuleLabel, Histogram>,
    letters: Family<RuleLabel, Counter>,
    lag: Family<StageLabel, Histogram>,
    redelivered: Counter,
    overruns: Counter,
    in_flight: Gauge,
    late: Gauge,
    pending: Gauge,
    ack_pending: Gauge,
    last_event: Gauge<f64, AtomicU64>,
    epoch: Gauge,
    paused: Gauge,
    inspector: InspectorSeries,
}

/// What the inspector comes to.
#[derive(Debug, Default)]
struct InspectorSeries {
    nines: Gauge<f64, AtomicU64>,
    l1_violations: Counter,
    not_sampled: Counter,
}

/// Counts one event as in flight for as long as it lives.
#[derive(Debug)]
pub struct Entered(Gauge);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    rule: String,
    op: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabel {
    rule: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

impl Metrics {
    /// Registers all series, for events of `stream`.
    pub fn new(registry: &mut Registry, stream: &str) -> Self {
        let metrics = Self {
            events: Family::default(),
            keys: Family::new_with_constructor(keys_histogram),
            letters: Family::default(),
            lag: Family::new_with_constructor(lag_histogram),
            redelivered: Counter::default(),
            overruns: Counter::default(),
            in_flight: Gauge::default(),
            late: Gauge::default(),
            pending: Gauge::default(),
            ack_pending: Gauge::default(),
            last_event: Gauge::default(),
            epoch: Gauge::default(),
            paused: Gauge::default(),
            inspector: InspectorSeries::default(),
        };
        let own = registry.sub_registry_with_prefix(PREFIX);
        add(
            own,
            "events",
            "Events, by rule, operation and outcome",
            &metrics.events,
        );
        add(
            own,
            "keys_per_event",
            "Keys and tags that one event made invalid",
            &metrics.keys,
        );
        add(
            own,
            "dead_letters",
            "Events kept as dead letters",
            &metrics.letters,
        );
        add(
            own,
            "lag_seconds",
            "Time that events spent in each stage",
            &metrics.lag,
        );
        metrics.register_state(own);
        metrics.inspector.register(own);
        let of_stream = own.sub_registry_with_label(("stream".into(), stream.to_owned().into()));
        let help = "Deliveries of events that had been delivered before";
        add(of_stream, "redelivered", help, &metrics.redelivered);
        let help = "Times that the stream dropped unread events, and all was cleared";
        add(of_stream, "overruns", help, &metrics.overruns);
        let help = "Events in the stream that no instance has been given yet";
        add(of_stream, "consumer_pending", help, &metrics.pending);
        let help = "Events given to an instance, and not answered for yet";
        add(of_stream, "ack_pending", help, &metrics.ack_pending);
        let help = "When the last event came, in seconds since the epoch";
        add(
            of_stream,
            "last_event_timestamp_seconds",
            help,
            &metrics.last_event,
        );
        metrics
    }

    /// How it stands, beside the counts of what it did.
    fn register_state(&self, own: &mut Registry) {
        let help = "Events being worked on";
        add(own, "in_flight", help, &self.in_flight);
        let help = "Events that wait for a part of L2 or the bus";
        add(own, "late", help, &self.late);
        let help = "The epoch of all positions; each rise refuses all that was cached before";
        add(own, "epoch", help, &self.epoch);
        let help = "1 while no event is taken, because `invalidator pause` said so";
        add(own, "paused", help, &self.paused);
    }

    /// An event came in, and this becomes of it.
    pub fn decided(&self, decision: &Decision, attempt: u64, now_ms: u64) {
        for count in &decision.counts {
            let labels = EventLabels {
                rule: count.rule.clone(),
                op: count.op,
                outcome: count.outcome.word(),
            };
            self.events.get_or_create(&labels).inc();
            let rule = RuleLabel {
                rule: count.rule.clone(),
            };
            self.keys.get_or_create(&rule).observe(count.targets as f64);
        }
        if attempt > 1 {
            self.redelivered.inc();
        }
        self.last_event.set(now_ms as f64 / 1e3);
    }

    /// A dead letter was written.
    pub fn letter(&self, rule: &str) {
        let rule = RuleLabel {
            rule: rule.to_owned(),
        };
        self.letters.get_or_create(&rule).inc();
    }

    /// An event went through a stage in this many milliseconds. Clocks of two
    /// machines may disagree: what ends before it began took no time.
    pub fn lag(&self, stage: Stage, from_ms: u64, to_ms: u64) {
        let seconds = to_ms.saturating_sub(from_ms) as f64 / 1e3;
        let stage = StageLabel {
            stage: stage.word(),
        };
        self.lag.get_or_create(&stage).observe(seconds);
    }

    /// An event is being worked on until the answer is dropped.
    pub fn enter(&self) -> Entered {
        self.in_flight.inc();
        Entered(self.in_flight.clone())
    }

    /// The stream dropped events that nobody had read.
    pub fn overrun(&self) {
        self.overruns.inc();
    }

    /// An announced invalidation is not looked at again.
    pub fn not_sampled(&self) {
        self.inspector.not_sampled.inc();
    }

    /// Processes told that their L1s held something too old.
    pub fn reported(&self, count: u64) {
        self.inspector.l1_violations.inc_by(count);
    }

    /// The share of looks that held so far, as nines.
    pub fn nines(&self, nines: f64) {
        self.inspector.nines.set(nines);
    }

    /// All positions are of this epoch.
    pub fn epoch(&self, epoch: u32) {
        self.epoch.set(i64::from(epoch));
    }

    /// Whether events are left where they are.
    pub fn paused(&self, paused: bool) {
        self.paused.set(i64::from(paused));
    }

    /// So many events are late.
    pub fn late(&self, count: usize) {
        self.late.set(whole(count as u64));
    }

    /// The stream has so many events that nobody has, and so many that somebody has.
    pub fn backlog(&self, pending: u64, ack_pending: u64) {
        self.pending.set(whole(pending));
        self.ack_pending.set(whole(ack_pending));
    }
}

impl InspectorSeries {
    fn register(&self, own: &mut Registry) {
        let help = "Second looks that held, as nines: -log10(max(violated, 3) / looks)";
        add(own, "inspector_nines", help, &self.nines);
        let help = "Violations that processes found in their L1s when this inspector asked";
        add(own, "inspector_l1_violations", help, &self.l1_violations);
        let help = "Announced invalidations that are not looked at again: above the rate";
        add(own, "inspector_not_sampled", help, &self.not_sampled);
    }
}

impl Stage {
    fn word(self) -> &'static str {
        match self {
            Self::SourceToStream => "source_to_stream",
            Self::StreamToAnnounced => "stream_to_announced",
        }
    }
}

impl Counted {
    /// The word that the metrics use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mapped => "mapped",
            Self::Unmapped => "unmapped",
            Self::Ignored => "ignored",
            Self::MissingColumn => "missing_column",
            Self::ParseError => "parse_error",
            Self::DeadLettered => "dead_lettered",
        }
    }
}

fn add(registry: &mut Registry, name: &str, help: &str, metric: &(impl Metric + Clone)) {
    registry.register(name, help, metric.clone());
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// 1 to 1,024 keys.
fn keys_histogram() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 11))
}

/// 1 ms to 65 s.
fn lag_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 17))
}
