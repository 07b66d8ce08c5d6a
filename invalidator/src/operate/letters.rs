//! Dead letters, as operators meet them: listed, shown, given to the rules of today, or
//! dropped.
//!
//! Nothing is stale because a letter lies here: whatever its event may have meant was
//! cleared when the letter was written. Trying it again tells whether the rules understand
//! such events by now, and lets other readers of the stream have what they waited for.

use super::instant::Instant;
use super::judged::judge;
use super::read::{Event, Reader, Start};
use crate::dead_letter::{DeadLetterSettings, REASON, RULE, SEQUENCE, STREAM, SUBJECT, TRUNCATED};
use crate::rules::Rules;
use crate::source::Link;
use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue, NATS_EXPECTED_STREAM};
use async_nats::jetstream::stream::Stream;
use cache_core::source::Cause;
use cache_core::{Error, Kind};
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

/// What an event carries that came from a letter: the letter's stream and place.
pub const RETRIED: &str = "Cacheaside-Retried";

/// One dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its own place, subject, date and headers, and the event's bytes.
    pub kept: Event,
}

/// What trying a letter again came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
    /// Its event is in the stream once more, at this place, and the letter is gone.
    Stored(u64),
    /// It would become a dead letter again, for this reason; nothing was done.
    Refused(String),
    /// A part of the event is missing; nothing was done.
    Cut,
    /// It is about an event of another stream; nothing was done.
    Foreign(String),
}

/// The letters of one consumer.
#[derive(Debug)]
pub struct Letters {
    link: Link,
    stream: Stream,
    source: String,
    durable: String,
}

impl Letters {
    /// Opens the stream of letters.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when NATS does not answer, or has no such stream.
    pub async fn open(
        link: Link,
        settings: &DeadLetterSettings,
        source: &str,
        durable: &str,
    ) -> Result<Self, Error> {
        Ok(Self {
            stream: link.stream(&settings.stream).await?,
            link,
            source: source.to_owned(),
            durable: durable.to_owned(),
        })
    }

    /// All letters, oldest first, one by one.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when NATS does not answer.
    pub async fn all(&self) -> Result<Reader, Error> {
        let subjects = DeadLetterSettings::subjects(&self.durable);
        Reader::open(&self.stream, Start::Oldest, Some(&subjects)).await
    }

    /// One letter.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if there is none at this place.
    pub async fn one(&self, sequence: u64) -> Result<Letter, Error> {
        let subject = format!("letter {sequence}");
        let found = self.stream.get_raw_message(sequence).await;
        let found = found.map_err(|error| {
            let error = Error::new(Kind::Invalid, "reading", subject.as_str()).because(error);
            error.hint("`invalidator dlq list` tells which there are")
        })?;
        Ok(Letter { kept: found.into() })
    }

    /// Publishes a letter's event anew where the rules of today can read it, and deletes
    /// the letter once the stream has it. A crash between the two leaves both, and the
    /// event invalidates once more, which is harmless.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when NATS does not answer or refuses; the letter stays.
    pub async fn retry(&self, letter: &Letter, rules: &Rules) -> Result<Retried, Error> {
        let source = letter.header(STREAM).unwrap_or_default();
        if source != self.source {
            return Ok(Retried::Foreign(source.to_owned()));
        }
        if letter.header(TRUNCATED).is_some() {
            return Ok(Retried::Cut);
        }
        let event = letter.event();
        if let Some(reason) = judge(&event, rules).letter {
            return Ok(Retried::Refused(reason.why));
        }
        let stored = self.publish(letter, event).await?;
        self.drop(letter.kept.sequence).await?;
        Ok(Retried::Stored(stored))
    }

    async fn publish(&self, letter: &Letter, event: Event) -> Result<u64, Error> {
        let failed = |cause: Cause| {
            let doing = "publishing an event again";
            let error = Error::new(Kind::Unavailable, doing, event.subject.as_str());
            error.because(cause).hint(format!(
                "does {} still take this subject, and may this user publish on it?",
                self.source
            ))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &event.headers {
            // What came in can go out; what cannot is no reason to keep the event.
            if let (Ok(name), Ok(value)) = (HeaderName::from_str(name), value.parse()) {
                headers.append::<HeaderName, HeaderValue>(name, value);
            }
        }
        let own = &self.stream.cached_info().config.name;
        headers.insert(RETRIED, format!("{own}:{}", letter.kept.sequence));
        headers.insert(NATS_EXPECTED_STREAM, self.source.as_str());
        let (subject, payload) = (event.subject.clone(), event.payload.clone());
        let context = &self.link.context;
        let sent = context.publish_with_headers(subject, headers, payload);
        let sent = sent.await.map_err(|error| failed(error.into()))?;
        let stored = sent.await.map_err(|error| failed(error.into()))?;
        Ok(stored.sequence)
    }

    /// Deletes a letter.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when NATS does not answer or refuses.
    pub async fn drop(&self, sequence: u64) -> Result<(), Error> {
        let deleted = self.stream.delete_message(sequence).await;
        deleted.map(drop).map_err(|error| {
            let subject = format!("letter {sequence}");
            Error::new(Kind::Unavailable, "deleting", subject).because(error)
        })
    }
}

impl Letter {
    /// One of the headers that say what became of the event.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.kept.headers.iter();
        let found = headers.find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The event as it was published, without what was for NATS: an id would make the
    /// server take it for a repetition, and drop it.
    pub fn event(&self) -> Event {
        let added = |name: &str| name.starts_with("Cacheaside-") || name.starts_with("Original-");
        let headers = self.kept.headers.iter();
        let headers = headers.filter(|(name, _)| !added(name) && !name.starts_with("Nats-"));
        Event {
            subject: self.header(SUBJECT).unwrap_or_default().to_owned(),
            headers: headers.cloned().collect(),
            ..self.kept.clone()
        }
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        json!({
            "letter": self.kept.sequence,
            "written": self.kept.stored.to_string(),
            "rule": self.header(RULE),
            "reason": self.header(REASON),
            "subject": self.header(SUBJECT),
            "stream": self.header(STREAM),
            "sequence": self.header(SEQUENCE).and_then(|text| text.parse::<u64>().ok()),
        })
    }

    /// The whole letter for programs: its headers, and the event as text.
    pub fn whole_json(&self) -> Value {
        let mut whole = self.json();
        whole["headers"] = json!(self.kept.headers);
        whole["event"] = json!(String::from_utf8_lossy(&self.kept.payload));
        whole
    }

    /// The whole letter for people.
    pub fn whole(&self) -> String {
        let mut text = format!(
            "letter   {}\nwritten  {}\n",
            self.kept.sequence,
            self.written()
        );
        for (name, value) in &self.kept.headers {
            text += &format!("{name}: {value}\n");
        }
        text += "\n";
        text += &String::from_utf8_lossy(&self.kept.payload);
        text += "\n";
        text
    }

    fn written(&self) -> Instant {
        self.kept.stored
    }
}

impl fmt::Display for Letter {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or = |name| self.header(name).unwrap_or("-");
        write!(
            f,
            "{:>6}  {}  {:<24}  {:<24}  {}",
            self.kept.sequence,
            self.written(),
            or(RULE),
            or(SUBJECT),
            or(REASON)
        )
    }
}

impl fmt::Display for Retried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(sequence) => write!(f, "its event is {sequence} in the stream now"),
            Self::Refused(why) => {
                write!(f, "kept: it would become a dead letter again: {why}")
            }
            Self::Cut => write!(
                f,
                "kept: it was too large to be kept whole; its caches have been cleared, so drop it"
            ),
            Self::Foreign(stream) => write!(f, "kept: it is about an event of `{stream}`"),
        }
    }
}
