//! Which events are read, and what NATS is asked for that: a stream and a consumer.

use async_nats::jetstream::consumer::AckPolicy;
use async_nats::jetstream::consumer::pull::Config as ConsumerConfig;
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};
use std::time::Duration;

/// Which events are read, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSettings {
    /// The stream.
    pub stream: String,
    /// The name of the consumer that all instances share.
    pub durable: String,
    /// Only events on these subjects, with NATS wildcards.
    pub filter: Option<String>,
    /// The epoch of all positions, at least: raised by hand after the database was
    /// restored, and by itself where the stream does not go on, see
    /// [`epoch_after`](crate::source::epoch_after).
    pub epoch: u32,
    /// Makes the stream if it is not there.
    pub create: Option<CreateSettings>,
    /// How many events one batch takes at most.
    pub batch: usize,
    /// How many events may be without an answer; all instances together, and also
    /// each one alone.
    pub in_flight_max: usize,
    /// How long NATS waits for an answer before it delivers an event again.
    pub ack_wait: Duration,
    /// After how many deliveries an event is given up.
    pub attempts_max: u64,
    /// What is announced a second time.
    pub repeat: Repeat,
    /// Whether everybody is told how far the stream is in its database's log: for those who
    /// read replicas. Only of a stream that one capture of one PostgreSQL writes, and nobody
    /// else; so not by default. See [`landmark`](crate::landmark).
    pub landmarks: bool,
    /// The longest outage of all instances after which no event may be lost: what the
    /// stream is measured by.
    pub outage: Duration,
}

/// Which events are announced a second time, and after how long; none if that is zero.
/// See [`repeat`](crate::repeat).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Those that may come before every reader sees what they tell of, as far as their
    /// format says ([`Format::may_be_early`](crate::change::Format::may_be_early)). After
    /// 1 s by default: far longer than a commit takes that nobody holds up.
    Early(Duration),
    /// All.
    All(Duration),
}

/// How a stream is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateSettings {
    /// The subjects it takes.
    pub subjects: Vec<String>,
    /// How long it keeps events.
    pub keep: Duration,
}

impl Repeat {
    /// Nothing.
    pub const NEVER: Self = Self::All(Duration::ZERO);

    /// After how long.
    pub fn after(self) -> Duration {
        match self {
            Self::Early(after) | Self::All(after) => after,
        }
    }

    /// Whether an event is announced again that may have come early, or not.
    pub fn takes(self, is_early: bool) -> bool {
        match self {
            Self::Early(after) => is_early && !after.is_zero(),
            Self::All(after) => !after.is_zero(),
        }
    }
}

impl SourceSettings {
    /// The stream to be made if it is not there; nothing if somebody else makes it.
    pub fn stream_config(&self) -> Option<Config> {
        let create = self.create.as_ref()?;
        Some(Config {
            name: self.stream.clone(),
            subjects: create.subjects.clone(),
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            max_age: create.keep,
            ..Config::default()
        })
    }

    /// The consumer that all instances share.
    pub fn consumer_config(&self) -> ConsumerConfig {
        ConsumerConfig {
            durable_name: Some(self.durable.clone()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.ack_wait,
            // Without end: above a limit NATS forgets an event without a word. Giving
            // one up is this service's own doing, with a dead letter.
            max_deliver: -1,
            max_ack_pending: self.in_flight_max as i64,
            filter_subject: self.filter.clone().unwrap_or_default(),
            ..ConsumerConfig::default()
        }
    }
}
