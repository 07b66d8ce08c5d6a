//! How far every durable consumer of the stream is, and how far L2 has been told.

use super::instant::Instant;
use super::read::Event;
use crate::pause::{Flag, Paused};
use crate::recall;
use crate::settings::SourceSettings;
use crate::source::Link;
use async_nats::jetstream::consumer::Info;
use async_nats::jetstream::stream::Stream;
use cache_core::config::units::Span;
use cache_core::connect::{DomainSettings, RemoteAt};
use cache_core::model::position::Position;
use cache_core::source::Cause;
use cache_core::tier::Remote;
use cache_core::tier::redis::RedisRemote;
use cache_core::{Error, Kind};
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// How far one consumer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Whether it is the one of the rules file.
    pub is_ours: bool,
    /// Events that nobody was given.
    pub pending: u64,
    /// Events given, and not answered for.
    pub ack_pending: u64,
    /// Those among them that were given more than once.
    pub redelivered: u64,
    /// Every event up to this one is done.
    pub done: u64,
    /// How long the oldest event that is not done has been in the stream.
    pub oldest: Option<Duration>,
}

/// How far everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The stream.
    pub stream: String,
    /// Its oldest and its newest event.
    pub events: (u64, u64),
    /// Its consumers, the own one first.
    pub places: Vec<Place>,
    /// Up to where every bucket of L2 knows that everything was done; nothing if a part
    /// of it does not answer.
    pub seen: Option<Position>,
    /// Whether the instances are paused.
    pub paused: Option<Paused>,
    /// When it was looked at.
    pub now: Instant,
}

/// Where lag is looked for.
#[derive(Debug)]
pub struct Lookout {
    link: Link,
    stream: Stream,
    source: SourceSettings,
    domain: DomainSettings,
    remote: Option<RedisRemote>,
}

impl Lookout {
    /// Opens the stream, and L2 if it answers.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when NATS does not answer, or has no such stream.
    pub async fn open(
        link: Link,
        source: SourceSettings,
        domain: DomainSettings,
    ) -> Result<Self, Error> {
        let stream = link.stream(&source.stream).await?;
        let remote = match &domain.remote {
            RemoteAt::Redis {
                deployment,
                access,
                timeout,
            } => RedisRemote::open(domain.name.clone(), deployment, access, *timeout).await,
            RemoteAt::Memory => unreachable!("a service file without Redis is refused"),
        };
        let remote = remote
            .inspect_err(|error| tracing::warn!(%error, "L2 is not asked"))
            .ok();
        Ok(Self {
            link,
            stream,
            source,
            domain,
            remote,
        })
    }

    /// Looks once.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when NATS does not answer.
    pub async fn look(&self, now: Instant) -> Result<Lag, Error> {
        let failed = |cause: Cause| failed(&self.source, cause);
        let info = self.stream.get_info().await;
        let state = info.map_err(|error| failed(error.into()))?.state;
        let consumers: Result<Vec<_>, _> = self.stream.consumers().try_collect().await;
        let mut places = Vec::new();
        let consumers = consumers.map_err(|error| failed(error.into()))?;
        // Those without a name of their own are somebody's who only looks, as `tail` does.
        let lasting = |info: &&Info| info.config.durable_name.is_some();
        for info in consumers.iter().filter(lasting) {
            places.push(self.place(info, now).await);
        }
        places.sort_by(|a, b| (!a.is_ours, &a.name).cmp(&(!b.is_ours, &b.name)));
        let flag = Flag::new(self.link.context.clone(), &self.source);
        Ok(Lag {
            stream: self.source.stream.clone(),
            events: (state.first_sequence, state.last_sequence),
            places,
            seen: self.seen().await,
            paused: flag.read().await?,
            now,
        })
    }

    async fn place(&self, info: &Info, now: Instant) -> Place {
        let done = info.ack_floor.stream_sequence;
        let waits = info.num_pending > 0 || info.num_ack_pending > 0;
        let oldest = match waits {
            true => self.oldest_after(done, &info.config.filter_subject).await,
            false => None,
        };
        Place {
            is_ours: info.name == self.source.durable,
            name: info.name.clone(),
            pending: info.num_pending,
            ack_pending: info.num_ack_pending as u64,
            redelivered: info.num_redelivered as u64,
            done,
            oldest: oldest.map(|stored| now.since(stored)),
        }
    }

    /// When the first event behind a place came, if it is still there.
    async fn oldest_after(&self, done: u64, filter: &str) -> Option<Instant> {
        let filter = if filter.is_empty() { ">" } else { filter };
        let next = self
            .stream
            .get_first_raw_message_by_subject(filter, done.saturating_add(1));
        next.await.ok().map(|message| Event::from(message).stored)
    }

    async fn seen(&self) -> Option<Position> {
        let remote: &dyn Remote = self.remote.as_ref()?;
        let watermarks = recall::watermarks_of(remote, &self.domain.name)
            .await
            .ok()?;
        let seen = watermarks
            .iter()
            .map(|(_, held)| held.map(|held| held.seen));
        seen.min().flatten()
    }
}

fn failed(source: &SourceSettings, cause: Cause) -> Error {
    let doing = "looking how far everything is";
    Error::new(Kind::Unavailable, doing, source.stream.as_str()).because(cause)
}

impl Place {
    fn json(&self) -> Value {
        json!({
            "consumer": self.name,
            "ours": self.is_ours,
            "pending": self.pending,
            "unacknowledged": self.ack_pending,
            "redelivered": self.redelivered,
            "done": self.done,
            "oldest_seconds": self.oldest.map(|age| age.as_secs_f64()),
        })
    }

    fn line(&self) -> String {
        let age = self.oldest.map_or_else(|| "-".to_owned(), whole_seconds);
        let mark = if self.is_ours { "*" } else { "" };
        format!(
            "{:<24} {:>9} {:>9} {:>11} {:>12} {:>8}",
            format!("{}{mark}", self.name),
            self.pending,
            self.ack_pending,
            self.redelivered,
            self.done,
            age
        )
    }
}

fn whole_seconds(age: Duration) -> String {
    Span(Duration::from_secs(age.as_secs())).to_string()
}

impl Lag {
    /// The same for programs.
    pub fn json(&self) -> Value {
        json!({
            "stream": self.stream,
            "first": self.events.0,
            "last": self.events.1,
            "consumers": self.places.iter().map(Place::json).collect::<Vec<_>>(),
            "l2_seen": self.seen.map(|seen| json!({
                "epoch": seen.epoch,
                "sequence": seen.offset,
            })),
            "paused": self.paused.as_ref().map(|paused| json!({
                "since": Instant(paused.since_ms).to_string(),
                "why": paused.why,
            })),
            "time": self.now.to_string(),
        })
    }
}

impl fmt::Display for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.events;
        writeln!(f, "{}  {}: events {first} to {last}", self.now, self.stream)?;
        writeln!(
            f,
            "{:<24} {:>9} {:>9} {:>11} {:>12} {:>8}",
            "CONSUMER", "PENDING", "UNACKED", "REDELIVERED", "DONE", "OLDEST"
        )?;
        for place in &self.places {
            writeln!(f, "{}", place.line())?;
        }
        if !self.places.iter().any(|place| place.is_ours) {
            writeln!(
                f,
                "the consumer of the rules file is not there: no event is read"
            )?;
        }
        match self.seen {
            Some(seen) => writeln!(f, "L2 has been told that all is done up to {seen}")?,
            None => writeln!(f, "L2 does not tell how far it is")?,
        }
        if let Some(paused) = &self.paused {
            let since = Instant(paused.since_ms);
            writeln!(f, "PAUSED since {since}: {}", paused.why)?;
        }
        Ok(())
    }
}
