//! The stream of events and this service's durable place in it.

use crate::delivery::{Each, Past};
use crate::echo;
use crate::format::received::Received;
use crate::headers::flat;
use crate::settings::SourceSettings;
use async_nats::connection::State;
use async_nats::datetime::DateTime;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::consumer::{DeliverPolicy, IntoConsumerConfig, PullConsumer};
use async_nats::jetstream::context::{Context, GetStreamErrorKind};
use async_nats::jetstream::stream::{Info, StorageType, Stream};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, Event};
use async_trait::async_trait;
use cache_core::bus::nats;
use cache_core::bus::server::NatsAt;
use cache_core::model::position::Position;
use cache_core::source::Cause;
use cache_core::{Error, Kind};
use futures_util::StreamExt;
use tokio::sync::watch;

/// A connection to the NATS that has the stream.
#[derive(Clone, Debug)]
pub struct Link {
    /// The connection.
    pub client: Client,
    /// JetStream on it.
    pub context: Context,
    /// Counts how often it was made.
    pub connected: watch::Receiver<u64>,
}

/// The stream and the consumer, opened and checked.
#[derive(Clone, Debug)]
pub struct Source {
    /// The connection.
    pub link: Link,
    /// The stream.
    pub stream: Stream,
    /// The consumer.
    pub consumer: PullConsumer,
    /// What it was opened with.
    pub settings: SourceSettings,
}

/// How far the stream and its consumer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Events that no instance has been given.
    pub pending: u64,
    /// Events given, and not answered for.
    pub ack_pending: u64,
    /// The last event that any instance was given.
    pub given: u64,
    /// Every event up to this one is done.
    pub done: u64,
    /// The oldest event that the stream still has.
    pub first: u64,
    /// The newest.
    pub last: u64,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for addresses or files that cannot be read,
    /// [`Kind::Unavailable`] when no server answers.
    pub async fn connect(at: &NatsAt, name: &str) -> Result<Self, Error> {
        let servers = nats::servers(&at.urls)?;
        let (count, connected) = watch::channel(0);
        let client = nats::options(at)?
            .name(name)
            .event_callback(move |event| {
                if matches!(event, Event::Connected) {
                    count.send_modify(|count| *count += 1);
                }
                std::future::ready(())
            })
            .connect(servers)
            .await
            .map_err(|error| nats::unreachable_at(&at.urls, error))?;
        Ok(Self {
            context: jetstream::new(client.clone()),
            client,
            connected,
        })
    }

    /// A stream that must be there.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when NATS does not answer, or has no such stream.
    pub async fn stream(&self, name: &str) -> Result<Stream, Error> {
        let stream = self.context.get_stream(name).await;
        stream.map_err(|error| {
            let hint = match is_absent(&error.kind()) {
                true => "NATS has no such stream; `invalidator setup` says what is missing",
                false => "is JetStream enabled on this NATS?",
            };
            let opening = Error::new(Kind::Unavailable, "opening the stream", name);
            opening.because(error).hint(hint)
        })
    }

    /// Whether the connection stands.
    pub fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }
}

impl Source {
    /// Opens the stream, and this service's consumer on it.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the stream is not there, [`Kind::Mismatch`] when
    /// NATS set the consumer up otherwise than asked.
    pub async fn open(link: Link, settings: SourceSettings) -> Result<Self, Error> {
        let stream = open_stream(&link.context, &settings).await?;
        if stream.cached_info().config.storage == StorageType::Memory {
            let stream = &settings.stream;
            tracing::warn!(
                stream,
                "the stream is kept in memory: a restart of NATS loses events"
            );
        }
        let consumer = open_consumer(&stream, &settings).await?;
        let consumer = not_ahead(&stream, consumer, &settings).await?;
        Ok(Self {
            link,
            stream,
            consumer,
            settings,
        })
    }

    /// Makes the consumer again if somebody deleted it. The new one begins with the
    /// oldest event, because what the old one had done is forgotten.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] when the stream itself is another one than at the start.
    pub async fn reopen(&mut self) -> Result<(), Error> {
        self.look_at_stream().await?;
        self.consumer = open_consumer(&self.stream, &self.settings).await?;
        Ok(())
    }

    /// How far everything is.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] when the stream is another one than at the start,
    /// [`Kind::Unavailable`] when NATS does not answer.
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        let stream = self.look_at_stream().await?;
        let consumer = self
            .consumer
            .get_info()
            .await
            .map_err(|error| self.unanswered(error))?;
        Ok(Backlog {
            pending: consumer.num_pending,
            ack_pending: consumer.num_ack_pending as u64,
            given: consumer.delivered.stream_sequence,
            done: consumer.ack_floor.stream_sequence,
            first: stream.state.first_sequence,
            last: stream.state.last_sequence,
        })
    }

    /// How the stream is, whatever became of the consumer.
    ///
    /// # Errors
    /// As [`Self::backlog`].
    pub async fn look_at_stream(&self) -> Result<Info, Error> {
        let info = self.stream.get_info().await;
        let info = info.map_err(|error| self.unanswered(error))?;
        self.check_same(&info)?;
        Ok(info)
    }

    /// The position of the event with this place in the stream.
    pub fn position(&self, sequence: u64) -> Position {
        Position::new(self.settings.epoch, sequence, 0)
    }

    /// A stream made anew counts from 1 again. L2 would take its events for older
    /// than what it has applied, and invalidate nothing.
    fn check_same(&self, now: &Info) -> Result<(), Error> {
        if now.created == self.stream.cached_info().created {
            return Ok(());
        }
        Err(self.ended("it was deleted and made anew"))
    }

    /// The stream gives places to events that others had before: L2 would take them
    /// for older than what it has applied.
    pub fn lost_its_end(&self) -> Error {
        self.ended("it lost its last events and gives their places to others")
    }

    fn ended(&self, why: &str) -> Error {
        let doing = "going on with the stream";
        let error = Error::new(Kind::Mismatch, doing, self.settings.stream.as_str());
        error.hint(format!(
            "{why}: every value from before must be refused, in epoch {}",
            self.settings.epoch.saturating_add(1)
        ))
    }

    fn unanswered(&self, cause: impl Into<Cause>) -> Error {
        let doing = "asking NATS about the stream";
        Error::new(Kind::Unavailable, doing, self.settings.stream.as_str()).because(cause)
    }
}

#[async_trait]
impl Past for Source {
    async fn recount(&self, after: u64, upto: u64, each: &mut Each<'_>) -> Result<bool, Error> {
        let info = self.stream.get_info().await;
        let state = info.map_err(|error| self.unanswered(error))?.state;
        if state.first_sequence > after + 1 || state.deleted_count.unwrap_or(0) > 0 {
            return Ok(false);
        }
        let asked = OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: after + 1,
            },
            filter_subject: self.settings.filter.clone().unwrap_or_default(),
            ..OrderedConfig::default()
        };
        let consumer = self.stream.create_consumer(asked).await;
        let mut consumer = consumer.map_err(|error| self.unanswered(error))?;
        let info = consumer.info().await;
        if info.map_err(|error| self.unanswered(error))?.num_pending == 0 {
            return Ok(true);
        }
        let messages = consumer.messages().await;
        let mut messages = messages.map_err(|error| self.unanswered(error))?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| self.unanswered(error))?;
            let info = message.info().map_err(|error| self.unanswered(error))?;
            if info.stream_sequence <= upto {
                let headers = message.headers.as_ref().map(flat).unwrap_or_default();
                let received = Received {
                    subject: &message.subject,
                    headers: &headers,
                    payload: &message.payload,
                };
                each(info.stream_sequence, &received);
            }
            if info.stream_sequence >= upto || info.pending == 0 {
                break;
            }
        }
        Ok(true)
    }
}

/// The epoch in which events go on. `heard` is the highest position in L2, and `now` how
/// far the stream and its consumer were when that had been read.
///
/// It is L2's, if another instance has raised it meanwhile. And if L2 has applied what
/// the stream does not have, the stream was made anew or lost its end, as after a power
/// failure, and gives the same places to other events. L2 would take those for old, so
/// it is the next one: every value from before is refused.
///
/// So it is if the consumer was never given an event, though L2 has heard of some. A
/// consumer dies with its stream, and a stream made anew may have grown past L2 by the
/// time somebody looks. A consumer that was deleted alone, or goes by another name, looks
/// the same; then the cache is cold without need.
pub fn epoch_after(settings: &SourceSettings, heard: Position, now: &Backlog) -> u32 {
    let epoch = settings.epoch.max(heard.epoch);
    let is_of_it = heard.epoch == epoch && heard.offset > 0;
    let goes_on = heard.offset <= now.last && now.given > 0;
    epoch.saturating_add(u32::from(is_of_it && !goes_on))
}

/// The consumer, unless it waits for places that its stream has lost: then a new one,
/// which begins with the oldest event.
async fn not_ahead(
    stream: &Stream,
    consumer: PullConsumer,
    settings: &SourceSettings,
) -> Result<PullConsumer, Error> {
    let failed = |cause: Cause| {
        let doing = "comparing the consumer with the stream";
        Error::new(Kind::Unavailable, doing, settings.stream.as_str()).because(cause)
    };
    // In this order: an event may come in between.
    let consumed = consumer.get_info().await.map_err(|e| failed(e.into()))?;
    let stored = stream.get_info().await.map_err(|e| failed(e.into()))?;
    let (given, last) = (
        consumed.delivered.stream_sequence,
        stored.state.last_sequence,
    );
    if given <= last {
        return Ok(consumer);
    }
    tracing::warn!(
        given,
        last,
        "the consumer is ahead of its stream; it is made anew"
    );
    // Another instance may have been faster.
    let _ = stream.delete_consumer(&settings.durable).await;
    open_consumer(stream, settings).await
}

async fn open_stream(context: &Context, settings: &SourceSettings) -> Result<Stream, Error> {
    let name = settings.stream.as_str();
    let error = match context.get_stream(name).await {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    let absent = is_absent(&error.kind());
    let failed = |hint| Error::new(Kind::Unavailable, "opening the stream", name).hint(hint);
    match settings.stream_config() {
        _ if !absent => Err(failed("is JetStream enabled on this NATS?").because(error)),
        None => Err(failed(
            "NATS has no such stream; write its right name, or `create_stream = true`",
        )),
        Some(config) => {
            let created = context.get_or_create_stream(config).await;
            created.map_err(|error| failed("it could not be made").because(error))
        }
    }
}

/// A date of NATS, in milliseconds since the epoch; those before it are 0.
pub fn millis(date: DateTime) -> u64 {
    let millis = date.unix_timestamp_nanos() / 1_000_000;
    u64::try_from(millis).unwrap_or(0)
}

/// Whether this says that there is no such stream.
pub fn is_absent(error: &GetStreamErrorKind) -> bool {
    matches!(
        error,
        GetStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND
    )
}

async fn open_consumer(stream: &Stream, settings: &SourceSettings) -> Result<PullConsumer, Error> {
    let asked = settings.consumer_config();
    let subject = format!("{} on {}", settings.durable, settings.stream);
    let error = |kind| Error::new(kind, "setting up the consumer", subject.as_str());
    let consumer: PullConsumer = stream
        .create_consumer(asked.clone())
        .await
        .map_err(|cause| error(Kind::Unavailable).because(cause))?;
    let differs = echo::consumer(
        &asked.into_consumer_config(),
        &consumer.cached_info().config,
    );
    match differs.first() {
        None => Ok(consumer),
        Some(difference) => Err(error(Kind::Mismatch).hint(format!(
            "NATS did not take it as asked: {difference}; delete the consumer, or choose \
             another `durable`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Repeat;
    use std::time::Duration;

    fn epoch_after(own: u32, heard: (u32, u64), (given, last): (u64, u64)) -> u32 {
        let settings = SourceSettings {
            stream: "CDC".to_owned(),
            durable: "invalidator".to_owned(),
            filter: None,
            epoch: own,
            create: None,
            batch: 1,
            in_flight_max: 1,
            ack_wait: Duration::from_secs(1),
            attempts_max: 2,
            repeat: Repeat::NEVER,
            landmarks: false,
            outage: Duration::from_secs(1),
        };
        let now = Backlog {
            pending: last - given,
            ack_pending: 0,
            given,
            done: given,
            first: 1,
            last,
        };
        super::epoch_after(&settings, Position::new(heard.0, heard.1, 0), &now)
    }

    #[test]
    fn a_stream_that_goes_on_stays_in_its_epoch_and_one_that_does_not_begins_the_next() {
        assert_eq!(epoch_after(0, (0, 0), (0, 0)), 0, "both are new");
        assert_eq!(epoch_after(0, (0, 0), (0, 5)), 0, "L2 has heard of nothing");
        assert_eq!(epoch_after(0, (0, 7), (7, 7)), 0);
        assert_eq!(epoch_after(0, (0, 7), (6, 6)), 1, "the stream lost its end");
        assert_eq!(epoch_after(0, (0, 7), (0, 9)), 1, "it is new");
        assert_eq!(epoch_after(0, (3, 7), (9, 9)), 3, "by another instance");
        assert_eq!(epoch_after(0, (3, 0), (0, 9)), 3, "and has not begun");
        assert_eq!(epoch_after(0, (3, 7), (6, 6)), 4);
        assert_eq!(epoch_after(5, (3, 7), (6, 6)), 5, "raised by hand");
    }
}
