//! Pulls events from the stream.
//!
//! The client's own batches are not used: with heartbeats they miss wake-ups, and
//! after a reconnect they wait for requests that the server has forgotten. Here one
//! inbox stays subscribed, and every new connection asks again at once.

use crate::delivery::{AnswerLost, Deliveries, Delivery, Receipt};
use crate::headers::flat;
use crate::source::{Source, millis};
use async_nats::jetstream::consumer::pull::BatchConfig;
use async_nats::jetstream::message::{AckKind, Acker, Message};
use async_nats::{StatusCode, Subject, Subscriber};
use async_trait::async_trait;
use cache_core::{Error, Kind};
use futures_util::{FutureExt, StreamExt};
use std::fmt;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// How long the server keeps a request for events.
const ASK_EXPIRES: Duration = Duration::from_secs(10);
/// How much longer its answer may take before it is asked again.
const ASK_GRACE: Duration = Duration::from_secs(1);
/// The pause after the server refused a request.
const REFUSED_PAUSE: Duration = Duration::from_millis(200);

/// Events of one consumer, asked for in batches.
pub struct Puller {
    source: Source,
    inbox: Subject,
    events: Subscriber,
    connected: watch::Receiver<u64>,
    /// Whether nothing is to be taken.
    paused: watch::Receiver<bool>,
    /// The inbox is closed; there is no other yet.
    resting: bool,
    /// The consumer may be gone. A request to one that is gets no answer at all.
    gone: bool,
    /// How many events are asked for and not here yet.
    asked: usize,
    /// When the request is surely over.
    asked_until: Instant,
    /// The last event that was ever delivered.
    highest: u64,
    /// When the stream had stored it; 0 if that was before this instance began.
    highest_stored_ms: u64,
    /// A first delivery came out of order: this may be another stream.
    in_doubt: bool,
    /// It was even stored after the last event before: its place is taken twice.
    lost_its_end: bool,
}

impl Puller {
    /// Subscribes; the first request comes with the first [`Deliveries::next`]. Nothing
    /// is taken while it is `paused`.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when NATS takes no subscription.
    pub async fn new(source: Source, paused: watch::Receiver<bool>) -> Result<Self, Error> {
        let (inbox, events) = subscribe(&source).await?;
        let mut connected = source.link.connected.clone();
        connected.mark_unchanged();
        Ok(Self {
            highest: source.consumer.cached_info().delivered.stream_sequence,
            highest_stored_ms: 0,
            in_doubt: false,
            lost_its_end: false,
            source,
            inbox,
            events,
            connected,
            paused,
            resting: false,
            gone: false,
            asked: 0,
            asked_until: Instant::now(),
        })
    }

    async fn ask(&mut self, most: usize) {
        let request = BatchConfig {
            batch: most,
            expires: Some(ASK_EXPIRES),
            ..BatchConfig::default()
        };
        let sent = self
            .source
            .consumer
            .request_batch(request, self.inbox.clone())
            .await;
        match sent {
            Ok(()) => {
                self.asked = most;
                self.asked_until = Instant::now() + ASK_EXPIRES + ASK_GRACE;
            }
            Err(error) => {
                tracing::debug!(%error, "events could not be asked for");
                sleep(REFUSED_PAUSE).await;
            }
        }
    }

    /// Gives back what was sent, and takes nothing until the pause is over. Requests that
    /// the server still has are void without their inbox; the next one is another.
    ///
    /// May be dropped at any point, and begun again.
    async fn rest(&mut self) -> Result<(), Error> {
        self.resting = true;
        self.close().await;
        tracing::info!("paused: no event is taken");
        if self.paused.wait_for(|paused| !paused).await.is_err() {
            // Nobody is left to end it.
            std::future::pending::<()>().await;
        }
        (self.inbox, self.events) = subscribe(&self.source).await?;
        (self.asked, self.resting) = (0, false);
        tracing::info!("resumed");
        Ok(())
    }

    /// An event, or nothing but news about the request.
    async fn take(&mut self, message: async_nats::Message) -> Result<Option<Delivery>, Error> {
        match message.status {
            None | Some(StatusCode::OK) => {
                self.asked = self.asked.saturating_sub(1);
                Ok(self.delivery(message))
            }
            // The request has run out.
            Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND) => {
                self.asked = 0;
                Ok(None)
            }
            Some(status) => {
                self.asked = 0;
                let why = message.description.as_deref().unwrap_or_default();
                tracing::warn!(%status, why, "NATS refused a request for events");
                self.gone |= status == StatusCode::NO_RESPONDERS || why.contains("Deleted");
                sleep(REFUSED_PAUSE).await;
                Ok(None)
            }
        }
    }

    /// New events come in order. One that does not is of a consumer that lost its
    /// memory, which is harmless, or of a stream made anew under the same name:
    ///
    /// 1. the stream is deleted, and the consumer with it;
    /// 2. somebody makes both again, for example an instance that starts;
    /// 3. the request that this instance left with the old consumer is answered by
    ///    the new one, from position 1 on, where L2 would take it for old.
    ///
    /// Or the stream is the same and has lost its end, as after a power failure, and
    /// gives the same places to other events. Those were stored later than what had
    /// come before, which a repetition never is.
    async fn resolve_doubt(&mut self) -> Result<(), Error> {
        while self.in_doubt {
            // Only the stream counts: the consumer may be gone just then.
            match self.source.look_at_stream().await {
                Ok(_) if self.lost_its_end => return Err(self.source.lost_its_end()),
                Ok(_) => self.in_doubt = false,
                Err(error) if error.kind() == Kind::Mismatch => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "whether this is still the same stream is not known");
                    sleep(REFUSED_PAUSE).await;
                }
            }
        }
        Ok(())
    }

    /// Makes sure of the consumer before it is asked again. It may be gone, or JetStream
    /// not up yet after a restart; and while the server removes the old one, it refuses a
    /// new one.
    async fn reopen(&mut self) -> Result<(), Error> {
        while self.gone {
            match self.source.reopen().await {
                Ok(()) => self.gone = false,
                Err(error) if error.kind() == Kind::Mismatch => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "the consumer is away");
                    sleep(REFUSED_PAUSE).await;
                }
            }
        }
        Ok(())
    }

    fn delivery(&mut self, message: async_nats::Message) -> Option<Delivery> {
        let message = Message {
            message,
            context: self.source.link.context.clone(),
        };
        let (sequence, attempt, stored_ms) = match message.info() {
            Ok(info) => {
                let attempt = u64::try_from(info.delivered).unwrap_or(1);
                (info.stream_sequence, attempt, millis(info.published))
            }
            Err(error) => {
                // Not from this stream: somebody published into the inbox.
                tracing::warn!(%error, "a message that is no delivery");
                return None;
            }
        };
        if attempt == 1 && sequence <= self.highest {
            self.in_doubt = true;
            let known = self.highest_stored_ms > 0;
            self.lost_its_end |= known && stored_ms > self.highest_stored_ms;
        }
        if sequence > self.highest {
            (self.highest, self.highest_stored_ms) = (sequence, stored_ms);
        }
        let (message, acker) = message.split();
        Some(Delivery {
            subject: message.subject.into_string(),
            payload: message.payload,
            headers: message.headers.iter().flat_map(flat).collect(),
            sequence,
            attempt,
            stored_ms,
            receipt: Box::new(AckReceipt { acker }),
        })
    }
}

#[async_trait]
impl Deliveries for Puller {
    async fn next(&mut self, most: usize) -> Result<Vec<Delivery>, Error> {
        loop {
            let paused = *self.paused.borrow_and_update();
            if paused || self.resting {
                self.rest().await?;
            }
            self.reopen().await?;
            if self.asked == 0 {
                self.ask(most).await;
            }
            let message = tokio::select! {
                biased;
                // The server forgot the request together with the old connection.
                Ok(()) = self.connected.changed() => {
                    self.asked = 0;
                    continue;
                }
                Ok(()) = self.paused.changed() => continue,
                message = self.events.next() => message,
                () = sleep_until(self.asked_until) => {
                    // A consumer that is there would have said that the request is over.
                    (self.asked, self.gone) = (0, true);
                    continue;
                }
            };
            let Some(message) = message else {
                let stream = self.source.settings.stream.as_str();
                return Err(
                    Error::new(Kind::Unavailable, "waiting for events of", stream)
                        .hint("the connection was closed for good"),
                );
            };
            let mut taken = Vec::with_capacity(most.min(64));
            taken.extend(self.take(message).await?);
            // From here on nothing is awaited, so that nothing taken can be lost.
            while taken.len() < most && !taken.is_empty() {
                match self.events.next().now_or_never() {
                    Some(Some(message)) if is_event(&message) => {
                        self.asked = self.asked.saturating_sub(1);
                        taken.extend(self.delivery(message));
                    }
                    // News about the request: it is over, and the next one tells
                    // again what is wrong with it.
                    Some(Some(_)) => self.asked = 0,
                    _ => break,
                }
            }
            if !taken.is_empty() {
                // Cut off here, the events come again after `ack_wait`.
                self.resolve_doubt().await?;
                return Ok(taken);
            }
        }
    }

    async fn close(&mut self) {
        // The server may have sent more than was taken. What is still under way
        // comes again after `ack_wait`.
        let _ = self.events.unsubscribe().await;
        while let Some(Some(message)) = self.events.next().now_or_never() {
            let event = is_event(&message).then(|| self.delivery(message));
            if let Some(delivery) = event.flatten() {
                let _ = delivery.receipt.give_back(Duration::ZERO).await;
            }
        }
    }
}

impl fmt::Debug for Puller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Puller")
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

async fn subscribe(source: &Source) -> Result<(Subject, Subscriber), Error> {
    let client = &source.link.client;
    let inbox = Subject::from(client.new_inbox());
    let events = client.subscribe(inbox.clone()).await.map_err(|error| {
        let stream = source.settings.stream.as_str();
        Error::new(Kind::Unavailable, "subscribing to events of", stream).because(error)
    })?;
    Ok((inbox, events))
}

fn is_event(message: &async_nats::Message) -> bool {
    matches!(message.status, None | Some(StatusCode::OK))
}

struct AckReceipt {
    acker: Acker,
}

impl AckReceipt {
    async fn answer(&self, kind: AckKind) -> Result<(), AnswerLost> {
        let sent = self.acker.ack_with(kind).await;
        sent.map_err(|error| AnswerLost(error.to_string()))
    }
}

#[async_trait]
impl Receipt for AckReceipt {
    async fn ack(&self) -> Result<(), AnswerLost> {
        self.answer(AckKind::Ack).await
    }

    async fn progress(&self) -> Result<(), AnswerLost> {
        self.answer(AckKind::Progress).await
    }

    async fn give_back(&self, pause: Duration) -> Result<(), AnswerLost> {
        self.answer(AckKind::Nak((!pause.is_zero()).then_some(pause)))
            .await
    }
}

impl fmt::Debug for AckReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckReceipt").finish_non_exhaustive()
    }
}
