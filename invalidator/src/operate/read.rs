//! Reads a stream beside everybody else: in order, and without a trace in any consumer
//! that stays.

use super::instant::Instant;
use crate::headers::flat;
use crate::source::millis;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::message::{Message, StreamMessage};
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use cache_core::source::Cause;
use cache_core::{Error, Kind};
use futures_util::StreamExt;
use std::fmt;

/// One message of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place.
    pub sequence: u64,
    /// When the stream took it.
    pub stored: Instant,
    /// The subject it was published on.
    pub subject: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its bytes.
    pub payload: Bytes,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At what comes next.
    Next,
    /// At the oldest that is there.
    Oldest,
    /// At this place, or the first after it.
    Sequence(u64),
    /// At the first that was taken then or later.
    Since(Instant),
}

/// Messages in their order.
pub struct Reader {
    stream: String,
    messages: Ordered,
    /// How many there were behind the last one that was read.
    pending: u64,
}

impl Reader {
    /// Begins to read; only `filter` if there is one.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when NATS does not answer.
    pub async fn open(stream: &Stream, start: Start, filter: Option<&str>) -> Result<Self, Error> {
        let name = stream.cached_info().config.name.clone();
        let asked = OrderedConfig {
            deliver_policy: policy(start),
            filter_subject: filter.unwrap_or_default().to_owned(),
            ..OrderedConfig::default()
        };
        let consumer = stream.create_consumer(asked).await;
        let consumer = consumer.map_err(|error| failed(&name, error.into()))?;
        let pending = consumer.cached_info().num_pending;
        let messages = consumer.messages().await;
        Ok(Self {
            messages: messages.map_err(|error| failed(&name, error.into()))?,
            stream: name,
            pending,
        })
    }

    /// The next message, whenever it comes.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when NATS does not answer.
    pub async fn next(&mut self) -> Result<Event, Error> {
        let message = match self.messages.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(failed(&self.stream, error.into())),
            None => return Err(failed(&self.stream, "the connection was closed".into())),
        };
        let (event, pending) = event(message).map_err(|cause| failed(&self.stream, cause))?;
        self.pending = pending;
        Ok(event)
    }

    /// The next message that is there already; nothing at the end.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub async fn next_stored(&mut self) -> Result<Option<Event>, Error> {
        match self.pending {
            0 => Ok(None),
            _ => self.next().await.map(Some),
        }
    }
}

impl From<StreamMessage> for Event {
    fn from(message: StreamMessage) -> Self {
        Self {
            sequence: message.sequence,
            stored: Instant(millis(message.time)),
            subject: message.subject.into_string(),
            headers: flat(&message.headers),
            payload: message.payload,
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

fn policy(start: Start) -> DeliverPolicy {
    match start {
        Start::Next => DeliverPolicy::New,
        Start::Oldest | Start::Sequence(0) => DeliverPolicy::All,
        Start::Sequence(start_sequence) => DeliverPolicy::ByStartSequence { start_sequence },
        Start::Since(since) => match since.date() {
            Some(start_time) => DeliverPolicy::ByStartTime { start_time },
            None => DeliverPolicy::New,
        },
    }
}

fn event(message: Message) -> Result<(Event, u64), Cause> {
    let info = message.info()?;
    let (sequence, stored, pending) = (
        info.stream_sequence,
        Instant(millis(info.published)),
        info.pending,
    );
    let message = message.message;
    let event = Event {
        sequence,
        stored,
        subject: message.subject.into_string(),
        headers: message.headers.as_ref().map(flat).unwrap_or_default(),
        payload: message.payload,
    };
    Ok((event, pending))
}

fn failed(stream: &str, cause: Cause) -> Error {
    Error::new(Kind::Unavailable, "reading the stream", stream).because(cause)
}
