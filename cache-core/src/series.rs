//! The series of one cache, and how series are named and registered.

use crate::event::{
    Answer, DropCause, Event, LeaseOutcome, LoadOutcome, RefreshOutcome, ShadowOutcome, Tier,
    WriteOutcome,
};
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};
use std::fmt;

/// Label names and values; all of them come from this file and from configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Labels<const N: usize>(pub(crate) [(&'static str, String); N]);

impl<const N: usize> EncodeLabelSet for Labels<N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, value) in &self.0 {
            EncodeLabelSet::encode(&[(*name, value.as_str())], encoder)?;
        }
        Ok(())
    }
}

/// The families that every cache has series in.
#[derive(Debug)]
pub(crate) struct Families {
    pub(crate) gets: Family<Labels<3>, Counter>,
    pub(crate) get_time: Family<Labels<2>, Histogram>,
    pub(crate) loads: Family<Labels<2>, Counter>,
    pub(crate) load_time: Family<Labels<1>, Histogram>,
    pub(crate) load_turns: Family<Labels<1>, Gauge>,
    pub(crate) breaker_open: Family<Labels<1>, Gauge>,
    pub(crate) writes: Family<Labels<2>, Counter>,
    pub(crate) refreshes: Family<Labels<2>, Counter>,
    pub(crate) coalesced: Family<Labels<1>, Counter>,
    pub(crate) leases: Family<Labels<2>, Counter>,
    pub(crate) puts: Family<Labels<2>, Counter>,
    pub(crate) drops: Family<Labels<2>, Counter>,
    pub(crate) sizes: [Family<Labels<1>, Gauge>; 3],
    pub(crate) codec_errors: Family<Labels<1>, Counter>,
    pub(crate) shadow: Family<Labels<2>, Counter>,
}

/// What is logged of a hit that was wrong.
const NOT_THE_SOURCES: &str = "a hit was not what the source has, and no invalidation ended \
    it: look for a writer without an event, or for a rule that misses this key";

/// The series of one cache, looked up once.
#[derive(Debug)]
pub(crate) struct CacheSeries {
    pub(crate) gets: [Counter; 8],
    /// By tier.
    pub(crate) get_time: [Histogram; 3],
    pub(crate) loads: [Counter; 6],
    pub(crate) load_time: Histogram,
    pub(crate) load_turns: Gauge,
    pub(crate) breaker_open: Gauge,
    pub(crate) writes: [Counter; 4],
    pub(crate) refreshes: [Counter; 4],
    pub(crate) coalesced: Counter,
    pub(crate) leases: [Counter; 6],
    pub(crate) puts: [Counter; 2],
    pub(crate) drops: [Counter; 4],
    /// Entries, bytes, and how many bytes there may be.
    pub(crate) sizes: [Gauge; 3],
    pub(crate) codec_errors: Counter,
    pub(crate) shadow: [Counter; 5],
}

const GETS: [(&str, &str); 8] = [
    ("l1", "hit"),
    ("l1", "negative"),
    ("l2", "hit"),
    ("l2", "negative"),
    ("none", "miss"),
    ("none", "error"),
    ("l1", "stale"),
    ("l2", "stale"),
];
const LOADS: [&str; 6] = [
    "success",
    "not_found",
    "error",
    "timeout",
    "shed",
    "refused",
];
const WRITES: [&str; 4] = ["stored", "invalidated", "failed", "uncertain"];
const REFRESHES: [&str; 4] = ["loaded", "elsewhere", "failed", "skipped"];
const LEASES: [&str; 6] = [
    "granted",
    "busy",
    "filled",
    "superseded",
    "expired",
    "released",
];
const TIERS: [&str; 3] = ["l1", "l2", "none"];
const CAUSES: [&str; 4] = ["size", "expired", "invalidated", "replaced"];
const SIZES: [(&str, &str); 3] = [
    ("l1_entries", "Entries in L1"),
    ("l1_bytes", "Bytes in L1, as its budget counts them"),
    ("l1_capacity_bytes", "Bytes that L1 may hold"),
];

const SHADOW: [&str; 5] = ["agreed", "lag", "wrong", "unknown", "skipped"];

/// Names and registers series, all under one prefix.
pub(crate) struct Registration<'r>(pub(crate) &'r mut Registry);

impl Registration<'_> {
    pub(crate) fn add(&mut self, name: &str, help: &str, metric: impl Metric) {
        self.0.register(format!("cacheaside_{name}"), help, metric);
    }

    pub(crate) fn family<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
    ) -> Family<Labels<N>, Counter> {
        let family = Family::default();
        self.add(name, help, family.clone());
        family
    }

    pub(crate) fn counter(&mut self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.add(name, help, counter.clone());
        counter
    }

    pub(crate) fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.add(name, help, gauge.clone());
        gauge
    }
}

impl Families {
    /// Registers them.
    pub(crate) fn new(registry: &mut Registration<'_>) -> Self {
        let get_time = Family::new_with_constructor(get_histogram as fn() -> Histogram);
        let help = "Time from the question to its answer, in seconds, by the tier that \
                    answered; of L1's answers, one in 256 is measured";
        registry.add("get_duration_seconds", help, get_time.clone());
        let load_time = Family::new_with_constructor(load_histogram as fn() -> Histogram);
        let help = "Time one load took, in seconds";
        registry.add("load_duration_seconds", help, load_time.clone());
        let load_turns = Family::default();
        let help = "Loads that may run at once: few after quiet times, more while callers wait";
        registry.add("load_turns", help, load_turns.clone());
        let breaker_open = Family::default();
        let help = "1 while the source is left alone because it failed for many keys in a row";
        registry.add("breaker_open", help, breaker_open.clone());
        Self {
            gets: registry.family("gets", "Reads, by the tier that answered and the result"),
            loads: registry.family("loads", "Loads from the source, by result"),
            get_time,
            load_time,
            load_turns,
            breaker_open,
            drops: registry.family("l1_drops", "Entries that L1 let go, by cause"),
            sizes: SIZES.map(|(name, help)| {
                let family = Family::default();
                registry.add(name, help, family.clone());
                family
            }),
            writes: registry.family("writes", "Writes through the cache, by outcome"),
            refreshes: registry.family("refreshes", "Loads before an entry expires, by outcome"),
            coalesced: registry.family(
                "coalesced",
                "Reads that shared what another in this process looked up or loaded",
            ),
            leases: registry.family("leases", "Leases asked for and ended, by outcome"),
            puts: registry.family("puts", "Values stored, by tier"),
            shadow: registry.family(
                "shadow",
                "Hits compared with the source in the background, by what was found",
            ),
            codec_errors: registry.family(
                "codec_errors",
                "Bytes in L2 that were not a value of the cache; each counted as a miss",
            ),
        }
    }
}

/// 250 ns to 1.5 s: a hit in memory and a slow load in one, by steps of 2.5.
fn get_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_000_25, 2.5, 18))
}

/// 1 ms to 16 s.
fn load_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

/// 50 us to 0.8 s.
pub(crate) fn remote_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 15))
}

pub(crate) fn pick<const N: usize>(
    family: &Family<Labels<N>, Counter>,
    labels: [(&'static str, &str); N],
) -> Counter {
    let labels = Labels(labels.map(|(name, value)| (name, value.to_owned())));
    family.get_or_create(&labels).clone()
}

impl CacheSeries {
    /// A cache's series in every family.
    pub(crate) fn new(families: &Families, cache: &str) -> Self {
        let of_cache = || Labels([("cache", cache.to_owned())]);
        Self {
            gets: GETS.map(|(tier, result)| {
                pick(
                    &families.gets,
                    [("cache", cache), ("tier", tier), ("result", result)],
                )
            }),
            loads: LOADS
                .map(|result| pick(&families.loads, [("cache", cache), ("result", result)])),
            get_time: TIERS.map(|tier| {
                let labels = [("cache", cache), ("tier", tier)];
                let labels = Labels(labels.map(|(name, value)| (name, value.to_owned())));
                families.get_time.get_or_create(&labels).clone()
            }),
            drops: CAUSES.map(|cause| pick(&families.drops, [("cache", cache), ("cause", cause)])),
            sizes: families
                .sizes
                .each_ref()
                .map(|family| family.get_or_create(&of_cache()).clone()),
            load_time: families.load_time.get_or_create(&of_cache()).clone(),
            load_turns: families.load_turns.get_or_create(&of_cache()).clone(),
            breaker_open: families.breaker_open.get_or_create(&of_cache()).clone(),
            writes: WRITES
                .map(|outcome| pick(&families.writes, [("cache", cache), ("outcome", outcome)])),
            refreshes: REFRESHES.map(|outcome| {
                pick(
                    &families.refreshes,
                    [("cache", cache), ("outcome", outcome)],
                )
            }),
            coalesced: families.coalesced.get_or_create(&of_cache()).clone(),
            leases: LEASES
                .map(|outcome| pick(&families.leases, [("cache", cache), ("outcome", outcome)])),
            puts: ["l1", "l2"].map(|tier| pick(&families.puts, [("cache", cache), ("tier", tier)])),
            codec_errors: families.codec_errors.get_or_create(&of_cache()).clone(),
            shadow: SHADOW
                .map(|outcome| pick(&families.shadow, [("cache", cache), ("outcome", outcome)])),
        }
    }

    /// Counts what happened to this cache; other events leave no trace.
    pub(crate) fn observe(&self, event: &Event<'_>) {
        match *event {
            Event::Get {
                tier, answer, took, ..
            } => {
                self.gets[get_index(tier, answer)].inc();
                if let Some(took) = took {
                    self.get_time[tier_index(tier)].observe(took.as_secs_f64());
                }
            }
            Event::Dropped { cause, .. } => {
                self.drops[cause_index(cause)].inc();
            }
            Event::L1Size {
                entries,
                bytes,
                capacity,
                ..
            } => {
                for (gauge, size) in self.sizes.iter().zip([entries, bytes, capacity]) {
                    gauge.set(i64::try_from(size).unwrap_or(i64::MAX));
                }
            }
            Event::Load { outcome, took, .. } => {
                self.loads[load_index(outcome)].inc();
                self.load_time.observe(took.as_secs_f64());
            }
            Event::LoadTurns { open, .. } => {
                self.load_turns.set(open as i64);
            }
            Event::Breaker { open, .. } => {
                self.breaker_open.set(i64::from(open));
            }
            Event::Write { outcome, .. } => {
                self.writes[write_index(outcome)].inc();
            }
            Event::Refresh { outcome, .. } => {
                self.refreshes[refresh_index(outcome)].inc();
            }
            Event::Coalesced { .. } => {
                self.coalesced.inc();
            }
            Event::Lease { outcome, .. } => {
                self.leases[lease_index(outcome)].inc();
            }
            Event::Put { tier, .. } => {
                self.puts[usize::from(tier != Tier::L1)].inc();
            }
            Event::Undecodable { why, .. } => {
                self.codec_errors.inc();
                tracing::debug!(why, "bytes in L2 are not a value of the cache");
            }
            Event::Shadow {
                outcome,
                key,
                tier,
                as_of,
                ..
            } => {
                self.shadow[shadow_index(outcome)].inc();
                if outcome == ShadowOutcome::Wrong {
                    let key = format_args!("{:016x}", key.0);
                    tracing::error!(%key, %tier, %as_of, "{NOT_THE_SOURCES}");
                }
            }
            _ => {}
        }
    }
}

fn get_index(tier: Tier, answer: Answer) -> usize {
    match (tier, answer) {
        (_, Answer::Error) => 5,
        (Tier::L1, Answer::Stale) => 6,
        (Tier::L2, Answer::Stale) => 7,
        (Tier::None, _) | (_, Answer::Miss) => 4,
        (Tier::L1, Answer::Hit) => 0,
        (Tier::L1, Answer::Negative) => 1,
        (Tier::L2, Answer::Hit) => 2,
        (Tier::L2, Answer::Negative) => 3,
    }
}

fn tier_index(tier: Tier) -> usize {
    match tier {
        Tier::L1 => 0,
        Tier::L2 => 1,
        Tier::None => 2,
    }
}

fn cause_index(cause: DropCause) -> usize {
    match cause {
        DropCause::Size => 0,
        DropCause::Expired => 1,
        DropCause::Invalidated => 2,
        DropCause::Replaced => 3,
    }
}

fn shadow_index(outcome: ShadowOutcome) -> usize {
    match outcome {
        ShadowOutcome::Agreed => 0,
        ShadowOutcome::Lag => 1,
        ShadowOutcome::Wrong => 2,
        ShadowOutcome::Unknown => 3,
        ShadowOutcome::Skipped => 4,
    }
}

fn load_index(outcome: LoadOutcome) -> usize {
    match outcome {
        LoadOutcome::Found => 0,
        LoadOutcome::Absent => 1,
        LoadOutcome::Failed => 2,
        LoadOutcome::Timeout => 3,
        LoadOutcome::Shed => 4,
        LoadOutcome::Refused => 5,
    }
}

fn write_index(outcome: WriteOutcome) -> usize {
    match outcome {
        WriteOutcome::Stored => 0,
        WriteOutcome::Invalidated => 1,
        WriteOutcome::Failed => 2,
        WriteOutcome::Uncertain => 3,
    }
}

fn refresh_index(outcome: RefreshOutcome) -> usize {
    match outcome {
        RefreshOutcome::Loaded => 0,
        RefreshOutcome::Elsewhere => 1,
        RefreshOutcome::Failed => 2,
        RefreshOutcome::Skipped => 3,
    }
}

fn lease_index(outcome: LeaseOutcome) -> usize {
    match outcome {
        LeaseOutcome::Granted => 0,
        LeaseOutcome::Busy => 1,
        LeaseOutcome::Filled => 2,
        LeaseOutcome::Superseded => 3,
        LeaseOutcome::Lost => 4,
        LeaseOutcome::Released => 5,
    }
}
