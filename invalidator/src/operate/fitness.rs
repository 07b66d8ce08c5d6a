//! Whether a stream keeps what an outage needs: each finding with why it matters and the
//! command that mends it.

use crate::echo::Difference;
use crate::settings::SourceSettings;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use cache_core::config::units::Span;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// The shortest time span of a stream's events that tells their rate: below it one burst
/// would pass for a habit.
pub const SPAN_MIN: Duration = Duration::from_secs(60);
/// The longest window for repeated messages without a warning: 30 times the default.
const DUPLICATES_MAX: Duration = Duration::from_secs(3600);
/// How much more than was needed so far is asked for: no day is like the other.
const SPARE: f64 = 2.0;

/// What a stream holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// Its events.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// From the oldest to the newest.
    pub span: Duration,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Events can be lost.
    Problem,
    /// It is a choice that should be one.
    Warning,
}

/// One thing about a stream or its consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
    /// What mends it.
    pub mend: String,
}

impl Holds {
    /// How much of something an outage of this length brings, as far as the events show;
    /// nothing if they show too little.
    fn during(&self, count: u64, outage: Duration) -> Option<f64> {
        let known = self.span >= SPAN_MIN && self.messages > 1;
        known.then(|| count as f64 / self.span.as_secs_f64() * outage.as_secs_f64())
    }
}

/// What there is to say of a stream.
pub fn of_stream(config: &Config, holds: &Holds, source: &SourceSettings) -> Vec<Finding> {
    let mut all = kept(config);
    all.extend(lasting(config, holds, source.outage));
    all.extend(published(config));
    all
}

/// What there is to say of the consumer; `differs` is nothing if it is not there.
pub fn of_consumer(source: &SourceSettings, differs: Option<&[Difference]>) -> Vec<Finding> {
    let SourceSettings {
        stream, durable, ..
    } = source;
    let Some(differs) = differs else {
        return vec![Finding {
            level: Level::Warning,
            what: format!("there is no consumer `{durable}`"),
            why: "nothing holds events for it; the first `serve` makes it and begins with the \
                  oldest event",
            mend: "invalidator setup".to_owned(),
        }];
    };
    let finding = |difference: &Difference| {
        // The server changes these of a consumer that exists, and refuses the others.
        let by_itself = ["ack_wait", "max_ack_pending", "filter_subject"];
        let mend = match by_itself.contains(&difference.field) {
            true => "`invalidator serve` sets it when it starts".to_owned(),
            false => format!("nats consumer rm {stream} {durable}  # then invalidator setup"),
        };
        Finding {
            level: Level::Problem,
            what: format!("the consumer's {difference}"),
            why: "the server did not take what the rules file asks for",
            mend,
        }
    };
    differs.iter().map(finding).collect()
}

/// Where and until when events are kept.
fn kept(config: &Config) -> Vec<Finding> {
    let name = &config.name;
    let mut all = Vec::new();
    if config.storage == StorageType::Memory {
        all.push(Finding {
            level: Level::Problem,
            what: "storage is memory".to_owned(),
            why: "a restart of NATS loses events that nobody has read; every cache begins anew",
            mend: format!(
                "storage cannot be edited: nats stream rm {name}, then \
                 nats stream add {name} --storage file"
            ),
        });
    }
    let anew =
        format!("or else make the stream anew: nats stream rm {name}, nats stream add {name}");
    match config.retention {
        RetentionPolicy::Limits => {}
        RetentionPolicy::Interest => all.push(Finding {
            level: Level::Problem,
            what: "retention is interest".to_owned(),
            why: "an event is dropped once every consumer has answered for it, and at once \
                  while there is none: a deleted consumer loses events, nothing can be \
                  replayed, and after a power failure no one knows what Redis should hold",
            mend: format!("nats stream edit {name} --retention limits (NATS 2.10), {anew}"),
        }),
        RetentionPolicy::WorkQueue => all.push(Finding {
            level: Level::Problem,
            what: "retention is workqueue".to_owned(),
            why: "an event is dropped once it is answered for: nothing can be replayed, after \
                  a power failure no one knows what Redis should hold, and no other consumer \
                  may read the stream",
            mend: format!("workqueue cannot be edited; {anew} --retention limits"),
        }),
    }
    if config.max_messages_per_subject > 0 {
        all.push(Finding {
            level: Level::Problem,
            what: format!(
                "only the last {} events of a subject are kept",
                config.max_messages_per_subject
            ),
            why: "a subject is a table, and one row's event pushes out another's unread",
            mend: format!("nats stream edit {name} --max-msgs-per-subject=-1"),
        });
    }
    all
}

/// Whether it lasts for an outage.
fn lasting(config: &Config, holds: &Holds, outage: Duration) -> Vec<Finding> {
    let name = &config.name;
    let mut all = Vec::new();
    let why = "what is dropped unread clears every cache";
    if !config.max_age.is_zero() && config.max_age < outage {
        all.push(Finding {
            level: Level::Problem,
            what: format!(
                "max_age is {}, shorter than the outage of {}",
                Span(config.max_age),
                Span(outage)
            ),
            why,
            mend: format!("nats stream edit {name} --max-age {}", hours(outage)),
        });
    }
    let limits = [
        ("max_bytes", "--max-bytes", config.max_bytes, holds.bytes),
        (
            "max_msgs",
            "--max-msgs",
            config.max_messages,
            holds.messages,
        ),
    ];
    for (field, option, limit, count) in limits {
        let Some(needed) = holds.during(count, outage) else {
            continue;
        };
        if limit > 0 && (limit as f64) < needed {
            all.push(Finding {
                level: Level::Problem,
                what: format!(
                    "{field} is {limit}, and {} at the present rate take {needed:.0}",
                    Span(outage)
                ),
                why,
                mend: format!("nats stream edit {name} {option} {:.0}", needed * SPARE),
            });
        }
    }
    if config.num_replicas <= 1 {
        all.push(Finding {
            level: Level::Warning,
            what: "there is 1 replica".to_owned(),
            why: "a server that is away holds up every invalidation, and its disk is the only one",
            mend: format!("nats stream edit {name} --replicas 3  # in a cluster of NATS"),
        });
    }
    all
}

/// What publishers meet.
fn published(config: &Config) -> Vec<Finding> {
    let name = &config.name;
    let mut all = Vec::new();
    let is_limited = config.max_bytes > 0 || config.max_messages > 0;
    if config.discard == DiscardPolicy::New && is_limited {
        all.push(Finding {
            level: Level::Warning,
            what: "discard is new".to_owned(),
            why: "a full stream refuses publishers: the relay stops, the database keeps its \
                  log, and no change is carried until there is room; `old` drops the oldest \
                  events instead, and the caches are cleared for it",
            mend: format!("nats stream edit {name} --discard old"),
        });
    }
    if config.duplicate_window > DUPLICATES_MAX {
        all.push(Finding {
            level: Level::Warning,
            what: format!("the duplicates window is {}", Span(config.duplicate_window)),
            why: "repeated events do no harm here, and a publisher that gives two changes of a \
                  row the same Nats-Msg-Id loses the second one without a word",
            mend: format!("nats stream edit {name} --dupe-window 2m"),
        });
    }
    if config.no_ack {
        all.push(Finding {
            level: Level::Problem,
            what: "publishers get no answer (no_ack)".to_owned(),
            why: "a relay does not learn that an event was not stored, and goes on without it",
            mend: format!("nats stream edit {name} --ack"),
        });
    }
    all
}

/// As the NATS command line reads it.
fn hours(span: Duration) -> String {
    format!("{}h", span.as_secs().div_ceil(3600))
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
        }
    }
}

impl Finding {
    /// The same for programs.
    pub fn json(&self) -> Value {
        json!({
            "level": self.level.word(),
            "what": self.what,
            "why": self.why,
            "mend": self.mend,
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            level,
            what,
            why,
            mend,
        } = self;
        writeln!(f, "{}  {what}", level.word())?;
        writeln!(f, "  why   {why}")?;
        write!(f, "  mend  {mend}")
    }
}
