//! Who takes writes out of a queue in NATS: one process at a time, by a last message that is
//! replaced by compare-and-set, as in NATS's own key-value buckets.
//!
//! It has no expiry. Whoever wants to lead watches it, and takes it over when it
//! has not changed for its holder's span, by the watcher's own clock (Gray and Cheriton's
//! lease, SOSP 1989, from the other end): no two clocks are compared. It also holds how
//! far the source is, because a stream that was emptied may forget how far it had counted.

use super::{Lead, QueueError, Queued};
use crate::clock::{Clock, Tick};
use async_nats::jetstream::consumer::pull::{Batch, Config};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer};
use async_nats::jetstream::context::{Context, PublishErrorKind};
use async_nats::jetstream::stream::{Info, LastRawMessageErrorKind, Stream};
use async_nats::{HeaderMap, header};
use async_trait::async_trait;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a reader that nobody asks is kept by the server.
const READER_KEPT: Duration = Duration::from_secs(60);
/// How long a reader waits for the next thing that the server owes it.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// What the last message says of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Who leads; 0 for nobody.
    pub(super) leader: u64,
    /// The sequence up to which the source has all.
    pub(super) done: u64,
    /// How long its leader may be silent.
    pub(super) span: Duration,
    /// The stream that `done` is about, as [`incarnation`] tells.
    pub(super) base: u64,
}

/// What the versions of a stream are above its sequences. A stream made anew counts from 1
/// again; its versions are above all of the one before, if that took less than a million
/// writes a second in its life.
pub(super) fn incarnation(info: &Info) -> u64 {
    let created = info.created.unix_timestamp_nanos() / 1_000;
    u64::try_from(created).unwrap_or_default()
}

impl Place {
    fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(32);
        out.put_u64(self.leader);
        out.put_u64(self.done);
        out.put_u64(u64::try_from(self.span.as_millis()).unwrap_or(u64::MAX));
        out.put_u64(self.base);
        out.freeze()
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let leader = bytes.try_get_u64().ok()?;
        let done = bytes.try_get_u64().ok()?;
        let span = Duration::from_millis(bytes.try_get_u64().ok()?);
        let base = bytes.try_get_u64().ok()?;
        Some(Self {
            leader,
            done,
            span,
            base,
        })
    }
}

/// Where a queue's last message is.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) context: Context,
    pub(super) stream: Stream,
    pub(super) subject: String,
    pub(super) clock: Arc<dyn Clock>,
}

impl Seat {
    /// What it says, and the revision to change it by; 0 if nobody ever led.
    pub(super) async fn read(&self) -> Result<(Place, u64), QueueError> {
        let last = self.stream.get_last_raw_message_by_subject(&self.subject);
        match last.await {
            Ok(last) => {
                let place = Place::decode(&last.payload);
                Ok((place.unwrap_or_default(), last.sequence))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                Ok((Place::default(), 0))
            }
            Err(error) => Err(QueueError::Unavailable(error.to_string())),
        }
    }

    async fn write(&self, place: &Place, revision: u64) -> Result<u64, QueueError> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
            revision.to_string(),
        );
        let sent = self
            .context
            .publish_with_headers(self.subject.clone(), headers, place.encode());
        let lost = |error: &dyn fmt::Display| QueueError::Uncertain(error.to_string());
        let written = sent.await.map_err(|error| lost(&error))?.await;
        match written {
            Ok(written) => Ok(written.sequence),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                Err(QueueError::Deposed)
            }
            Err(error) => Err(lost(&error)),
        }
    }

    /// Waits for the seat, to read the stream of this incarnation.
    pub(super) async fn take(
        &self,
        leader: u64,
        span: Duration,
        base: u64,
    ) -> Result<(Place, u64, Tick), QueueError> {
        let mut seen = None;
        loop {
            let (place, revision) = self.read().await?;
            let now = self.clock.now();
            let (known, since) = *seen.get_or_insert((revision, now));
            if known != revision {
                seen = Some((revision, now));
            }
            let is_silent = known == revision && now.since(since) >= place.span;
            if place.leader == 0 || is_silent {
                let mine = Place {
                    leader,
                    done: if place.base == base { place.done } else { 0 },
                    span,
                    base,
                };
                match self.write(&mine, revision).await {
                    Ok(revision) => return Ok((mine, revision, now)),
                    Err(QueueError::Deposed) => {}
                    Err(error) => return Err(error),
                }
            }
            let pause = (place.span / 10).clamp(LOOK_MIN, LOOK_MAX);
            tokio::time::sleep(pause).await;
        }
    }
}

/// The pause between two looks at a seat that is taken.
const LOOK_MIN: Duration = Duration::from_millis(50);
const LOOK_MAX: Duration = Duration::from_secs(1);

/// A process that leads.
pub(super) struct NatsLead {
    pub(super) seat: Seat,
    pub(super) place: Place,
    pub(super) revision: u64,
    /// When it was last sure to lead.
    pub(super) sure: Tick,
    pub(super) stream: Stream,
    pub(super) reader: Option<Reader>,
    /// The last sequence that was read.
    pub(super) read: u64,
}

/// A consumer that numbers what it delivers, so that a lost delivery shows.
pub(super) struct Reader {
    consumer: PullConsumer,
    delivered: u64,
}

impl NatsLead {
    /// Says again that it leads, and how far the source is.
    async fn renew(&mut self, place: Place) -> Result<(), QueueError> {
        let before = self.seat.clock.now();
        match self.seat.write(&place, self.revision).await {
            Ok(revision) => {
                (self.place, self.revision, self.sure) = (place, revision, before);
                Ok(())
            }
            // An earlier attempt may have been written, and its answer lost.
            Err(QueueError::Deposed) => match self.seat.read().await? {
                (found, revision) if found.leader == place.leader => {
                    (self.place, self.revision) = (found, revision);
                    Err(QueueError::Uncertain("its answer was late".to_owned()))
                }
                _ => Err(QueueError::Deposed),
            },
            Err(error) => Err(error),
        }
    }

    async fn reader(&mut self) -> Result<&mut Reader, QueueError> {
        if self.reader.is_none() {
            let unavailable = |error: &dyn fmt::Display| QueueError::Unavailable(error.to_string());
            let info = self.stream.get_info().await;
            let info = info.map_err(|error| unavailable(&error))?;
            if incarnation(&info) != self.place.base {
                return Err(QueueError::Deposed);
            }
            let config = Config {
                // The server forgets what it has delivered: a hole in the numbers of its
                // deliveries is what tells of a loss, and then another reader is made.
                ack_policy: AckPolicy::None,
                deliver_policy: DeliverPolicy::ByStartSequence {
                    start_sequence: self.read + 1,
                },
                inactive_threshold: READER_KEPT,
                memory_storage: true,
                ..Config::default()
            };
            let consumer = self.stream.create_consumer(config).await;
            let consumer = consumer.map_err(|error| unavailable(&error))?;
            self.reader = Some(Reader {
                consumer,
                delivered: 0,
            });
        }
        Ok(self.reader.as_mut().expect("it was just made"))
    }

    /// What was delivered in order; the reader is given up at a hole.
    async fn read(
        &mut self,
        most: usize,
        patience: Option<Duration>,
    ) -> Result<Vec<Queued>, QueueError> {
        let base = self.place.base;
        let reader = self.reader().await?;
        let consumer = &reader.consumer;
        let lost = |error: &dyn fmt::Display| QueueError::Unavailable(error.to_string());
        let messages = match patience {
            None => consumer.fetch().max_messages(most).messages().await,
            Some(patience) => {
                let waiting = consumer.batch().max_messages(most).expires(patience);
                waiting.messages().await
            }
        };
        let mut messages = messages.map_err(|error| lost(&error))?;
        let (mut writes, mut last) = (Vec::new(), None);
        // A server that died with the request in hand answers nobody, and its successor knows
        // nothing of it.
        let silence = patience.unwrap_or_default() + ANSWERS_WITHIN;
        let next = async |messages: &mut Batch| timeout(silence, messages.next()).await;
        while let Some(message) = next(&mut messages).await.map_err(|error| lost(&error))? {
            let message = message.map_err(|error| lost(&error))?;
            let info = message.info().map_err(|error| lost(&error))?;
            if info.consumer_sequence != reader.delivered + 1 {
                return Err(QueueError::Unavailable("a delivery was lost".to_owned()));
            }
            reader.delivered += 1;
            last = Some(info.stream_sequence);
            writes.push(Queued {
                version: base + info.stream_sequence,
                pushed_ms: (info.published.unix_timestamp_nanos() / 1_000_000) as u64,
                body: message.payload.clone(),
            });
        }
        self.read = last.unwrap_or(self.read);
        Ok(writes)
    }
}

#[async_trait]
impl Lead for NatsLead {
    async fn next(&mut self, most: usize, patience: Duration) -> Result<Vec<Queued>, QueueError> {
        let some = match self.read(most, None).await {
            Ok(none) if none.is_empty() && !patience.is_zero() => {
                self.read(1, Some(patience)).await
            }
            some => some,
        };
        if some.is_err() {
            self.reader = None;
        }
        some
    }

    async fn read_again(&mut self, version: u64) -> Result<Option<Queued>, QueueError> {
        let sequence = version - self.place.base;
        match self.stream.get_raw_message(sequence).await {
            Ok(message) => Ok(Some(Queued {
                version,
                pushed_ms: (message.time.unix_timestamp_nanos() / 1_000_000) as u64,
                body: message.payload,
            })),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(QueueError::Unavailable(error.to_string())),
        }
    }

    async fn hold(&mut self) -> Result<(), QueueError> {
        if self.leads_for() >= self.place.span * 2 / 3 {
            return Ok(());
        }
        self.renew(self.place).await
    }

    async fn forget(&mut self, version: u64) -> Result<(), QueueError> {
        let done = version - self.place.base;
        if done > self.place.done {
            self.renew(Place { done, ..self.place }).await?;
        }
        // Up to 1, which is nothing, servers take for everything.
        if done <= 1 {
            return Ok(());
        }
        // The last one stays: an emptied stream may forget how far it had counted. And the
        // next call forgets what this one could not.
        let purged = self.stream.purge().sequence(done).await;
        purged.map_err(|error| QueueError::Unavailable(error.to_string()))?;
        Ok(())
    }

    fn leads_for(&self) -> Duration {
        let now = self.seat.clock.now();
        self.place.span.saturating_sub(now.since(self.sure))
    }

    async fn resign(mut self: Box<Self>) {
        let free = Place {
            leader: 0,
            ..self.place
        };
        // Without an answer the next leader waits for the span.
        let _ = self.renew(free).await;
    }
}

impl fmt::Debug for NatsLead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsLead")
            .field("place", &self.place)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}
