//! The bus over core NATS: fast, in each publisher's order, and forgetful. What
//! was lost shows in the sequence numbers, in the heartbeats, and here in the
//! connection's own events.

use super::server::NatsAt;
use super::{Bus, BusError, Heard, Subscription};
use crate::access;
use crate::error::{Error, Kind};
use crate::model::key::Name;
use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// How many messages may wait for a busy process before NATS drops some, which
/// is then a gap. At 10,000 invalidations a second in batches this is minutes.
const SUBSCRIPTION_CAPACITY: usize = 16_384;
/// How long a publish may wait for room in the connection's queue.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the first connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the server is asked whether it still lives.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// How often it is looked whether a right is refused, while it is proved.
const LOOK: Duration = Duration::from_millis(10);
/// The longest pause between two attempts to reconnect.
const RECONNECT_DELAY_MAX: Duration = Duration::from_millis(1_000);

/// The bus over NATS.
pub struct NatsBus {
    client: Client,
    subject: String,
    lost: broadcast::Sender<&'static str>,
    rights: Rights,
}

/// What the server does not let this process do on the bus: its own words. Nothing tells
/// who publishes that a message was refused, but these.
#[derive(Clone, Default)]
struct Rights(Arc<Mutex<Option<String>>>);

impl NatsBus {
    /// Connects, and speaks on `prefix.bus.domain`.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what is no address, or a file that cannot be used;
    /// [`Kind::Unavailable`] when no server answers, or it grants no right to speak and to
    /// hear there.
    pub async fn connect(
        at: impl Into<NatsAt>,
        prefix: &str,
        domain: &Name,
    ) -> Result<Self, Error> {
        let at = at.into();
        let (lost, _) = broadcast::channel(64);
        let teller = lost.clone();
        let subject = format!("{prefix}.bus.{domain}");
        let rights = Rights::default();
        let watched = rights.clone();
        let ours = subject.clone();
        let client = options(&at)?
            .event_callback(move |event| {
                watched.watch(&event, &ours);
                let reason = match event {
                    Event::Connected => Some("connected to NATS anew"),
                    Event::Disconnected => Some("disconnected from NATS"),
                    Event::SlowConsumer(_) => Some("too slow for NATS"),
                    _ => None,
                };
                if let Some(reason) = reason {
                    // Nobody listens yet, or no longer: then nothing was lost.
                    let _ = teller.send(reason);
                }
                std::future::ready(())
            })
            .connect(servers(&at.urls)?)
            .await
            .map_err(|error| unreachable_at(&at.urls, error))?;
        let bus = Self {
            client,
            subject,
            lost,
            rights,
        };
        bus.prove().await.map_err(|cause| {
            let doing = "speaking and hearing on the bus";
            let hint = access::hint(&cause.0).unwrap_or("is NATS busy?");
            let error = Error::new(Kind::Unavailable, doing, bus.subject.as_str());
            error.because(cause).hint(hint)
        })?;
        Ok(bus)
    }

    /// Makes sure that this process may speak and hear on the bus, and in its own inbox:
    /// whoever may not would cache on without a word.
    async fn prove(&self) -> Result<(), BusError> {
        let refused = |error: async_nats::SubscribeError| BusError(error.to_string());
        for subject in [self.subject.clone(), self.client.new_inbox()] {
            let mut heard = self
                .client
                .subscribe(subject.clone())
                .await
                .map_err(refused)?;
            // Which subscribers of the bus leave out.
            let said = self.client.publish(subject, Bytes::new()).await;
            said.map_err(|error| BusError(error.to_string()))?;
            let hears =
                async { while heard.next().await.is_some_and(|it| !it.payload.is_empty()) {} };
            let in_time = tokio::select! {
                in_time = tokio::time::timeout(CONNECT_TIMEOUT, hears) => in_time.is_ok(),
                () = self.rights.refused() => false,
            };
            self.rights.check()?;
            if !in_time {
                return Err(BusError("nothing comes back".to_owned()));
            }
        }
        Ok(())
    }
}

impl Rights {
    fn watch(&self, event: &Event, subject: &str) {
        match event {
            // Who connects anew may have been granted more meanwhile.
            Event::Connected => *self.0.lock() = None,
            Event::ServerError(error) => {
                let said = error.to_string();
                let is_ours = said.contains(subject) || said.contains("_INBOX.");
                if said.contains("ermissions") && is_ours {
                    tracing::error!(said, "NATS does not grant what the bus needs");
                    *self.0.lock() = Some(said);
                }
            }
            _ => {}
        }
    }

    /// # Errors
    /// What the server refused since the connection was made.
    fn check(&self) -> Result<(), BusError> {
        match &*self.0.lock() {
            None => Ok(()),
            Some(said) => Err(BusError(said.clone())),
        }
    }

    /// Waits until something is refused.
    async fn refused(&self) {
        while self.check().is_ok() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Reads addresses separated by commas.
///
/// # Errors
/// [`Kind::Invalid`] for what is no address.
pub fn servers(urls: &str) -> Result<Vec<ServerAddr>, Error> {
    let parse = |url: &str| url.trim().parse::<ServerAddr>();
    urls.split(',')
        .map(parse)
        .collect::<Result<_, _>>()
        .map_err(|_| {
            // Not the text itself: it may hold a password.
            Error::new(Kind::Invalid, "reading the address of NATS", "`url`")
                .hint("write it as nats://host:4222, several separated by commas")
        })
}

/// Connection options that notice a dead server within seconds.
///
/// # Errors
/// As [`NatsAt::options`].
pub fn options(at: &NatsAt) -> Result<ConnectOptions, Error> {
    let options = at.options()?;
    Ok(options
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(CONNECT_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .reconnect_delay_callback(|attempt| {
            let step = Duration::from_millis(50) * u32::try_from(attempt).unwrap_or(20).min(20);
            step.min(RECONNECT_DELAY_MAX)
        }))
}

/// The error of a server that does not answer, without the password in its URL.
pub fn unreachable_at(urls: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    let hint = access::hint(&cause.to_string());
    Error::new(Kind::Unavailable, "connecting to NATS", access::hosts(urls))
        .because(cause)
        .hint(hint.unwrap_or("is it running, and is the address right?"))
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(&self, message: Bytes) -> Result<(), BusError> {
        // The client would keep a message for later, and its sender would believe
        // that it is out.
        if self.client.connection_state() != State::Connected {
            return Err(BusError("not connected to NATS".to_owned()));
        }
        self.rights.check()?;
        let publish = self.client.publish(self.subject.clone(), message);
        match tokio::time::timeout(PUBLISH_TIMEOUT, publish).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(BusError(error.to_string())),
            Err(_) => Err(BusError("NATS takes no more messages".to_owned())),
        }
    }

    async fn flush(&self) -> Result<(), BusError> {
        match tokio::time::timeout(PUBLISH_TIMEOUT, self.client.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(BusError(error.to_string())),
            Err(_) => Err(BusError("NATS takes no more messages".to_owned())),
        }
    }

    fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected && self.rights.check().is_ok()
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>, BusError> {
        let refused = |error: async_nats::SubscribeError| BusError(error.to_string());
        let lost = self.lost.subscribe();
        let messages = self
            .client
            .subscribe(self.subject.clone())
            .await
            .map_err(refused)?;
        let echo_subject = self.client.new_inbox();
        let echoes = self
            .client
            .subscribe(echo_subject.clone())
            .await
            .map_err(refused)?;
        Ok(Box::new(NatsSubscription {
            client: self.client.clone(),
            messages,
            echo_subject,
            echoes,
            lost,
            rights: self.rights.clone(),
        }))
    }
}

impl fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBus")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

struct NatsSubscription {
    client: Client,
    messages: Subscriber,
    echo_subject: String,
    echoes: Subscriber,
    lost: broadcast::Receiver<&'static str>,
    rights: Rights,
}

#[async_trait]
impl Subscription for NatsSubscription {
    async fn next(&mut self) -> Option<Heard> {
        // In this order: the server delivers both subjects over one connection, so
        // what it had delivered before the echo waits in `messages` by the time
        // the echo is here.
        tokio::select! {
            biased;
            lost = self.lost.recv() => Some(Heard::Lost(match lost {
                Ok(reason) => reason,
                Err(RecvError::Lagged(_)) => "the connection changed many times",
                Err(RecvError::Closed) => return None,
            })),
            message = spoken(&mut self.messages) => message.map(Heard::Message),
            echo = self.echoes.next() => {
                let nonce = echo?.payload.as_ref().try_into().map(u64::from_be_bytes);
                Some(nonce.map_or(Heard::Lost("an echo of unknown shape"), Heard::Echo))
            }
        }
    }

    async fn ping(&mut self, nonce: u64) -> Result<(), BusError> {
        if self.client.connection_state() != State::Connected {
            return Err(BusError("not connected to NATS".to_owned()));
        }
        self.rights.check()?;
        let nonce = Bytes::copy_from_slice(&nonce.to_be_bytes());
        let publish = self.client.publish(self.echo_subject.clone(), nonce);
        match tokio::time::timeout(PUBLISH_TIMEOUT, publish).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(BusError(error.to_string())),
            Err(_) => Err(BusError("NATS takes no more messages".to_owned())),
        }
    }
}

/// The next message with something in it: without, somebody proves that it may speak.
async fn spoken(messages: &mut Subscriber) -> Option<Bytes> {
    loop {
        let message = messages.next().await?;
        if !message.payload.is_empty() {
            return Some(message.payload);
        }
    }
}

impl fmt::Debug for NatsSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsSubscription").finish_non_exhaustive()
    }
}
