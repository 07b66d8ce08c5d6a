//! The stream, as the capture writes it: each event once, in commit order, with numbers
//! that have no gap.
//!
//! Every event says which number it expects to get. So the stream refuses what would be
//! out of order, and a capture that was taken for dead:
//!
//! 1. a capture sends an event, and hangs before it hears of its end
//! 2. another one takes over, reads the last place, and goes on
//! 3. the event of the first arrives; its number is taken, and it is refused
//!
//! Where anything fails, the capture begins anew with the last event that the stream has.
//! Others may write into the stream too; then that happens now and then.

use crate::capture::place::{Origin, Place};
use crate::capture::reader::Outgoing;
use crate::capture::settings::Events;
use crate::capture::stream::{self, OPENING, unfit};
use crate::source::Link;
use async_nats::jetstream::Context;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use cache_core::{Error, Kind};
use futures_util::future::try_join_all;
use std::time::Duration;

/// The header with an event's place in the database's log.
pub const PLACE: &str = "Cacheaside-Place";
/// The header that says whose log that is.
pub const ORIGIN: &str = "Cacheaside-Origin";
/// How many events of others may stand behind the last one of a capture.
const LOOK_BACK_MAX: usize = 10_000;
/// How long the stream may take to store what was sent together.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);
const WRITING: &str = "writing changes into the stream";

/// The stream, opened.
#[derive(Clone, Debug)]
pub struct Journal {
    context: Context,
    name: String,
    /// The number of the stream's last event.
    last: u64,
}

/// The last event that the stream has from a capture.
pub type Stored = Option<(Place, Origin)>;

impl Journal {
    /// Opens the stream, and says how far it is.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when NATS does not answer; [`Kind::Mismatch`] when the stream
    /// is not there, does not take what is written, or has events of somebody else under
    /// the same prefix.
    pub async fn open(link: &Link, events: &Events) -> Result<(Self, Stored), Error> {
        let stream = stream::open(link, events).await?;
        // In this order: what somebody else stores in between makes the first write fail,
        // and is seen the next time.
        let last = stream.cached_info().state.last_sequence;
        let stored = last_place(&stream, events).await?;
        let journal = Self {
            context: link.context.clone(),
            name: events.stream.clone(),
            last,
        };
        Ok((journal, stored))
    }

    /// Writes events; on return they are stored.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when one was not. Whether it is stored is not known then.
    pub async fn append(&mut self, origin: &Origin, events: &[Outgoing]) -> Result<(), Error> {
        let origin = origin.to_string();
        let store = async {
            let mut answers = Vec::with_capacity(events.len());
            for (event, expected) in events.iter().zip(self.last..) {
                let message = PublishMessage::build()
                    .payload(event.payload.clone())
                    .header(PLACE, event.place.to_string())
                    .header(ORIGIN, origin.as_str())
                    .expected_stream(&self.name)
                    .expected_last_sequence(expected);
                let subject = event.subject.clone();
                answers.push(self.context.send_publish(subject, message).await?);
            }
            try_join_all(answers.into_iter().map(IntoFuture::into_future)).await
        };
        let failed = || Error::new(Kind::Unavailable, WRITING, self.name.as_str());
        match tokio::time::timeout(STORE_TIMEOUT, store).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(failed().because(error)),
            Err(_) => return Err(failed().hint("NATS did not answer in time")),
        }
        self.last += events.len() as u64;
        Ok(())
    }
}

/// The place of the last event that a capture wrote. Others may have written after it: a
/// dead letter, for one, comes back on its event's own subject.
async fn last_place(stream: &Stream, events: &Events) -> Result<Stored, Error> {
    let failed = |error| {
        let failed = Error::new(Kind::Unavailable, OPENING, events.stream.as_str());
        failed.because(error)
    };
    let subject = format!("{}.>", events.prefix);
    let last = match stream.get_last_raw_message_by_subject(&subject).await {
        Ok(last) => last,
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if let Some(stored) = place_of(&last) {
        return Ok(Some(stored));
    }
    let first = stream.cached_info().state.first_sequence.max(1);
    for sequence in (first..last.sequence).rev().take(LOOK_BACK_MAX) {
        match stream.get_raw_message(sequence).await {
            Ok(message) => {
                if let Some(stored) = place_of(&message) {
                    return Ok(Some(stored));
                }
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    match last.sequence - first < LOOK_BACK_MAX as u64 {
        true => Ok(None),
        false => Err(unfit(
            &events.stream,
            format!(
                "the last {LOOK_BACK_MAX} events are not of a capture; choose a `prefix` that \
                 nobody else uses"
            ),
        )),
    }
}

/// Where in whose log an event of a capture stands; nothing for any other.
pub fn place_of(message: &StreamMessage) -> Stored {
    let header = |name: &str| message.headers.get(name).map(|value| value.as_str());
    let place = header(PLACE)?.parse().ok()?;
    Some((place, header(ORIGIN)?.parse().ok()?))
}
