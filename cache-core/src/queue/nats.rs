//! The queue in a stream of NATS JetStream: what was taken outlives processes and servers.
//!
//! One stream a cache, which refuses more when it is full. What the source has is purged
//! from its front. NATS answers before it syncs to disk: a machine that loses power can
//! lose what it took in the last moments (`sync_interval`), unless the stream has
//! replicas.

use super::lead::{NatsLead, Seat, incarnation};
use super::{Backlog, Lead, Queue, QueueError, Queued};
use crate::bus::nats::{options, servers, unreachable_at};
use crate::bus::server::NatsAt;
use crate::clock::Clock;
use crate::error::{Error, Kind};
use crate::model::key::Name;
use crate::random::Random;
use async_nats::connection::State;
use async_nats::jetstream::context::{Context, PublishErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, StorageType, Stream};
use async_nats::{Client, HeaderMap, jetstream};
use async_trait::async_trait;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a push waits for a connection.
const CONNECTED_WITHIN: Duration = Duration::from_secs(2);
/// How often it looks for one.
const LOOK: Duration = Duration::from_millis(20);
/// How much the stream of what the source will never take holds for all caches, in bytes.
const ASIDE_BYTES_MAX: i64 = 256 * 1024 * 1024;
/// The header that says why.
const WHY: &str = "Cacheaside-Refused";
/// Its longest text, in bytes.
const WHY_LEN_MAX: usize = 512;

/// Where a queue is kept, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// Where NATS is.
    pub at: NatsAt,
    /// The first token of every subject.
    pub prefix: String,
    /// The most that may wait, in bytes.
    pub bytes_max: usize,
    /// On how many servers it is kept.
    pub replicas: usize,
}

/// The queue of one cache in NATS.
pub struct NatsQueue {
    client: Client,
    context: Context,
    stream: Stream,
    subject: String,
    aside: String,
    seat: Seat,
    /// The stream's incarnation, as it was last seen.
    base: AtomicU64,
    random: Arc<dyn Random>,
}

impl NatsQueue {
    /// Connects, and finds or makes the streams.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what is no address, [`Kind::Unavailable`] when NATS does not
    /// answer or refuses, [`Kind::Mismatch`] for a stream that would lose writes.
    pub async fn open(
        settings: &QueueSettings,
        domain: &Name,
        cache: &Name,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, Error> {
        let urls = &settings.at.urls;
        let client = options(&settings.at)?
            .connect(servers(urls)?)
            .await
            .map_err(|error| unreachable_at(urls, error))?;
        let context = jetstream::new(client.clone());
        let (domain, cache) = (token(domain), token(cache));
        let prefix = &settings.prefix;
        let subject = format!("{prefix}.behind.{domain}.{cache}");
        let stream = open_stream(
            &context,
            Config {
                name: format!("{prefix}-behind+{domain}+{cache}"),
                subjects: vec![subject.clone()],
                max_bytes: i64::try_from(settings.bytes_max).unwrap_or(i64::MAX),
                num_replicas: settings.replicas,
                description: Some("writes on their way to the source".to_owned()),
                ..Config::default()
            },
        )
        .await?;
        open_stream(
            &context,
            Config {
                name: format!("{prefix}-refused"),
                subjects: vec![format!("{prefix}.refused.>")],
                max_bytes: ASIDE_BYTES_MAX,
                num_replicas: settings.replicas,
                description: Some("writes that the source will never take".to_owned()),
                ..Config::default()
            },
        )
        .await?;
        let seats = open_seats(&context, prefix, settings.replicas).await?;
        Ok(Self {
            aside: format!("{prefix}.refused.{domain}.{cache}"),
            seat: Seat {
                context: context.clone(),
                stream: seats,
                subject: format!("{prefix}.leader.{domain}.{cache}"),
                clock,
            },
            base: AtomicU64::new(incarnation(stream.cached_info())),
            client,
            context,
            stream,
            subject,
            random,
        })
    }

    async fn info(&self) -> Result<Info, QueueError> {
        let info = self.stream.get_info().await;
        let info = info.map_err(|error| QueueError::Unavailable(error.to_string()))?;
        self.base.store(incarnation(&info), Ordering::Relaxed);
        Ok(info)
    }

    async fn connected(&self) -> Result<(), QueueError> {
        let connected = async {
            while self.client.connection_state() != State::Connected {
                tokio::time::sleep(LOOK).await;
            }
        };
        let waited = tokio::time::timeout(CONNECTED_WITHIN, connected).await;
        waited.map_err(|_| QueueError::Unavailable("not connected to NATS".to_owned()))
    }

    async fn publish(
        &self,
        subject: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<u64, QueueError> {
        // The client would keep a message for later, and its sender might believe that it
        // is gone.
        self.connected().await?;
        let sent = self
            .context
            .publish_with_headers(subject.to_owned(), headers, body);
        let sent = sent
            .await
            .map_err(|error| QueueError::Unavailable(error.to_string()))?;
        match sent.await {
            Ok(taken) => Ok(taken.sequence),
            Err(error) => Err(match error.kind() {
                PublishErrorKind::StreamNotFound => QueueError::Unavailable(error.to_string()),
                // The server's own words: it stored nothing.
                PublishErrorKind::Other if is_full(&error) => QueueError::Full,
                _ => QueueError::Uncertain(error.to_string()),
            }),
        }
    }
}

fn is_full(error: &dyn std::error::Error) -> bool {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    cause.contains("maximum bytes exceeded") || cause.contains("maximum messages exceeded")
}

/// A name as one token of a subject; no two are the same.
fn token(name: &Name) -> String {
    name.as_str().replace('.', "=")
}

async fn open_stream(context: &Context, asked: Config) -> Result<Stream, Error> {
    let asked = Config {
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        ..asked
    };
    let error = |kind| Error::new(kind, "opening a queue", asked.name.as_str());
    let stream = context.get_or_create_stream(asked.clone()).await;
    let stream = stream.map_err(|cause| {
        let error = error(Kind::Unavailable).because(cause);
        error.hint("is JetStream enabled on this NATS, and may this user make streams?")
    })?;
    // It may have been made by hand.
    let set = &stream.cached_info().config;
    let loses = [
        ("max_age", !set.max_age.is_zero()),
        ("discard", set.discard != DiscardPolicy::New),
        ("storage", set.storage != StorageType::File),
        ("max_messages_per_subject", set.max_messages_per_subject > 0),
    ];
    match loses.iter().find(|(_, loses)| *loses) {
        None => Ok(stream),
        Some((name, _)) => Err(error(Kind::Mismatch).hint(format!(
            "its `{name}` would lose writes: it keeps all of them in files, and refuses more \
             when it is full"
        ))),
    }
}

/// The stream of who leads: the last message of each queue.
async fn open_seats(context: &Context, prefix: &str, replicas: usize) -> Result<Stream, Error> {
    let name = format!("{prefix}-leaders");
    let config = Config {
        name: name.clone(),
        subjects: vec![format!("{prefix}.leader.>")],
        max_messages_per_subject: 1,
        storage: StorageType::File,
        num_replicas: replicas,
        description: Some("who takes writes out of which queue, and how far it is".to_owned()),
        ..Config::default()
    };
    let stream = context.get_or_create_stream(config).await;
    stream.map_err(|cause| Error::new(Kind::Unavailable, "opening a queue", name).because(cause))
}

#[async_trait]
impl Queue for NatsQueue {
    async fn push(&self, body: Bytes) -> Result<u64, QueueError> {
        // Sent once: repeated after a lost answer, it could be written to the source twice.
        let pushed = self.publish(&self.subject, HeaderMap::new(), body).await;
        pushed.map(|sequence| self.base.load(Ordering::Relaxed) + sequence)
    }

    async fn lead(&self, span: Duration) -> Result<Box<dyn Lead>, QueueError> {
        let id = self.random.next().max(1);
        let base = incarnation(&self.info().await?);
        let (place, revision, sure) = self.seat.take(id, span, base).await?;
        Ok(Box::new(NatsLead {
            seat: self.seat.clone(),
            place,
            revision,
            sure,
            stream: self.stream.clone(),
            reader: None,
            read: place.done,
        }))
    }

    async fn backlog(&self) -> Result<Backlog, QueueError> {
        // In this order: what is done meanwhile counts as waiting.
        let (place, _) = self.seat.read().await?;
        let info = self.info().await?;
        let base = incarnation(&info);
        let done = if place.base == base { place.done } else { 0 };
        let state = info.state;
        let waiting = state.last_sequence.saturating_sub(done);
        let mut oldest_ms = None;
        if waiting > 0 {
            let first = self
                .stream
                .get_raw_message(state.first_sequence.max(done + 1));
            let first = first.await;
            let first = first.map_err(|error| QueueError::Unavailable(error.to_string()))?;
            oldest_ms = Some((first.time.unix_timestamp_nanos() / 1_000_000) as u64);
        }
        Ok(Backlog {
            waiting,
            done: base + done,
            oldest_ms,
        })
    }

    async fn put_aside(&self, write: &Queued, why: &str) -> Result<(), QueueError> {
        let mut headers = HeaderMap::new();
        let plain = |c: char| if c.is_ascii_graphic() { c } else { ' ' };
        let why: String = why.chars().map(plain).take(WHY_LEN_MAX).collect();
        headers.insert(WHY, why.as_str());
        // Repeated when its answer is lost: here, twice does no harm.
        headers.insert("Nats-Msg-Id", format!("{}/{}", self.subject, write.version));
        let kept = self.publish(&self.aside, headers, write.body.clone()).await;
        kept.map(drop)
    }

    fn is_durable(&self) -> bool {
        true
    }
}

impl fmt::Debug for NatsQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsQueue")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}
