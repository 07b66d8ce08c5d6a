//! The flag that stops all instances from taking events, kept where all of them look:
//! the last message on one subject of a small stream. It outlives every process.
//!
//! JetStream can pause a consumer by itself only from NATS 2.11 on.

use crate::settings::SourceSettings;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::Context;
use async_nats::jetstream::stream::{Config, LastRawMessageErrorKind, StorageType};
use cache_core::source::Cause;
use cache_core::{Error, Kind};
use serde_json::{Value, json};

/// The stream that keeps the flags of all invalidators of a NATS.
pub const STREAM: &str = "CACHEASIDE_CONTROL";
/// What their subjects begin with. With the stream and the consumer behind it that makes
/// four tokens, because Debezium's default stream takes every subject of three.
const SUBJECT_PREFIX: &str = "cacheaside.control";
/// The longest reason that is kept.
const WHY_CHARS_MAX: usize = 200;
/// As large as the stream may become: flags of thousands of invalidators.
const BYTES_MAX: i64 = 1 << 20;

/// The stream to be made if it is not there.
pub fn stream_config() -> Config {
    Config {
        name: STREAM.to_owned(),
        subjects: vec![format!("{SUBJECT_PREFIX}.>")],
        storage: StorageType::File,
        max_messages_per_subject: 1,
        max_bytes: BYTES_MAX,
        description: Some("whether invalidators are paused".to_owned()),
        ..Config::default()
    }
}

/// That all instances are paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// Since when, in milliseconds since the epoch, by the clock of whoever paused them.
    pub since_ms: u64,
    /// Why, as that person said; may be empty.
    pub why: String,
}

/// The flag of one consumer.
#[derive(Clone, Debug)]
pub struct Flag {
    context: Context,
    subject: String,
}

impl Flag {
    /// The flag of this source's consumer.
    pub fn new(context: Context, source: &SourceSettings) -> Self {
        let SourceSettings {
            stream, durable, ..
        } = source;
        Self {
            context,
            subject: format!("{SUBJECT_PREFIX}.{stream}.{durable}"),
        }
    }

    /// How it stands; nothing if it was never touched.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when NATS does not answer: then nobody knows.
    pub async fn read(&self) -> Result<Option<Paused>, Error> {
        // No round trip: it only names the stream.
        let stream = self.context.get_stream_no_info(STREAM).await;
        let stream = stream.map_err(|error| self.failed("reading the flag", error.into()))?;
        match stream.get_last_raw_message_by_subject(&self.subject).await {
            Ok(message) => Ok(decode(&message.payload)),
            Err(error) if is_unset(&error.kind()) => Ok(None),
            Err(error) => Err(self.failed("reading the flag", error.into())),
        }
    }

    /// Sets it, or takes it back; on return that is stored.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when NATS does not answer or refuses.
    pub async fn set(&self, paused: Option<&Paused>) -> Result<(), Error> {
        let failed = |cause: Cause| self.failed("setting the flag", cause);
        let made = self.context.get_or_create_stream(stream_config()).await;
        made.map_err(|error| failed(error.into()))?;
        let body = encode(paused).to_string();
        let sent = self.context.publish(self.subject.clone(), body.into());
        let sent = sent.await.map_err(|error| failed(error.into()))?;
        sent.await.map_err(|error| failed(error.into()))?;
        Ok(())
    }

    fn failed(&self, doing: &'static str, cause: Cause) -> Error {
        let error = Error::new(Kind::Unavailable, doing, self.subject.as_str());
        error.because(cause).hint(
            "may this user ask for messages of the stream CACHEASIDE_CONTROL? It need not exist",
        )
    }
}

fn is_unset(error: &LastRawMessageErrorKind) -> bool {
    match error {
        LastRawMessageErrorKind::NoMessageFound => true,
        LastRawMessageErrorKind::JetStream(cause) => {
            cause.error_code() == ErrorCode::STREAM_NOT_FOUND
        }
        _ => false,
    }
}

fn encode(paused: Option<&Paused>) -> Value {
    match paused {
        None => json!({"paused": false}),
        Some(Paused { since_ms, why }) => {
            let why: String = why.chars().take(WHY_CHARS_MAX).collect();
            json!({"paused": true, "since_ms": since_ms, "why": why})
        }
    }
}

/// What cannot be read pauses nobody: that would end every L1 for a stray message.
fn decode(body: &[u8]) -> Option<Paused> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body["paused"].as_bool()?.then(|| Paused {
        since_ms: body["since_ms"].as_u64().unwrap_or_default(),
        why: body["why"].as_str().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_flag_that_says_so_pauses() {
        let paused = Paused {
            since_ms: 5,
            why: "restore".to_owned(),
        };
        let body = encode(Some(&paused)).to_string();
        assert_eq!(decode(body.as_bytes()), Some(paused));
        assert_eq!(decode(encode(None).to_string().as_bytes()), None);
        for stray in ["", "{", "true", "{}", r#"{"paused": "yes"}"#] {
            assert_eq!(decode(stray.as_bytes()), None, "{stray}");
        }
    }
}
