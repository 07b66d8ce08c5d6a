//! Where an event goes that cannot be read: into a stream of its own, whole, with
//! the reason beside it.
//!
//! A dead letter keeps the event's bytes and headers. Headers that would talk to
//! NATS itself are renamed to `Original-Nats-...`, and these are added:
//!
//! | header | |
//! | --- | --- |
//! | `Cacheaside-Reason` | what is wrong |
//! | `Cacheaside-Rule` | the rule that refused it |
//! | `Cacheaside-Stream`, `-Sequence`, `-Subject` | where it came from |
//! | `Cacheaside-Truncated` | its size, if it was too large to be kept whole |
//!
//! The subject is `cacheaside.dlq.<durable>.<rule>`: four tokens, because Debezium's
//! default stream takes every subject of three.

use async_nats::jetstream::context::Context;
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};
use async_nats::{Client, HeaderMap, HeaderName, HeaderValue};
use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{Error, Kind};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The header that says what is wrong.
pub const REASON: &str = "Cacheaside-Reason";
/// The header that names the rule that refused it.
pub const RULE: &str = "Cacheaside-Rule";
/// The header that names the event's stream.
pub const STREAM: &str = "Cacheaside-Stream";
/// The header that says at which place it was.
pub const SEQUENCE: &str = "Cacheaside-Sequence";
/// The header that says on which subject.
pub const SUBJECT: &str = "Cacheaside-Subject";
/// The header that says how large the event was, if it was too large to be kept whole.
pub const TRUNCATED: &str = "Cacheaside-Truncated";
/// What every subject of dead letters begins with.
pub const SUBJECT_PREFIX: &str = "cacheaside.dlq";
/// Room left for headers in a message that holds a whole event.
const HEADER_ROOM: usize = 16 * 1024;
/// The longest reason that is written.
const REASON_CHARS_MAX: usize = 1_000;
/// The most headers of the event that are kept.
const HEADERS_MAX: usize = 64;
/// How long writing may take before the event is given back.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// An event that could not be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The rule that refused it.
    pub rule: String,
    /// What is wrong.
    pub why: String,
    /// The subject it was published on.
    pub subject: String,
    /// The epoch of its stream.
    pub epoch: u32,
    /// Its place in its stream.
    pub sequence: u64,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its bytes.
    pub payload: Bytes,
}

/// A dead letter that could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the dead letter could not be written: {0}")]
pub struct LetterLost(pub String);

/// Where dead letters go.
#[async_trait]
pub trait DeadLetters: Send + Sync + fmt::Debug {
    /// Writes a letter; on return it is stored.
    async fn write(&self, letter: &Letter) -> Result<(), LetterLost>;
}

/// How dead letters are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterSettings {
    /// The stream that keeps them; made at the start if it is not there.
    pub stream: String,
    /// How long it keeps them, if it is made.
    pub keep: Duration,
    /// How large it may become, in bytes, if it is made; the oldest go first.
    pub bytes_max: u64,
}

impl DeadLetterSettings {
    /// The stream to be made if it is not there.
    pub fn stream_config(&self) -> Config {
        Config {
            name: self.stream.clone(),
            subjects: vec![format!("{SUBJECT_PREFIX}.>")],
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            max_age: self.keep,
            max_bytes: i64::try_from(self.bytes_max).unwrap_or(i64::MAX),
            description: Some("events that the invalidator could not read".to_owned()),
            ..Config::default()
        }
    }

    /// The subjects of all letters of one consumer.
    pub fn subjects(durable: &str) -> String {
        format!("{SUBJECT_PREFIX}.{}.>", token(durable))
    }
}

/// Dead letters in a stream of NATS JetStream.
#[derive(Clone)]
pub struct JetStreamLetters {
    client: Client,
    context: Context,
    source: String,
    durable: String,
}

impl JetStreamLetters {
    /// Finds or makes the stream; the letters are about events of `source`.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when NATS does not answer or refuses.
    pub async fn open(
        client: Client,
        context: Context,
        settings: &DeadLetterSettings,
        source: &str,
        durable: &str,
    ) -> Result<Self, Error> {
        context
            .get_or_create_stream(settings.stream_config())
            .await
            .map_err(|error| {
                let doing = "opening the stream of dead letters";
                Error::new(Kind::Unavailable, doing, settings.stream.as_str())
                    .because(error)
                    .hint("does another stream take subjects under `cacheaside.dlq`?")
            })?;
        Ok(Self {
            client,
            context,
            source: source.to_owned(),
            durable: token(durable),
        })
    }

    fn headers(&self, letter: &Letter, cut: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in letter.headers.iter().take(HEADERS_MAX) {
            let name = match name.get(..5) {
                Some(start) if start.eq_ignore_ascii_case("Nats-") => format!("Original-{name}"),
                _ => name.clone(),
            };
            // A header that came in can go out again; one that cannot is no reason
            // to lose the letter.
            if let (Ok(name), Ok(value)) = (HeaderName::from_str(&name), value.parse()) {
                headers.append::<HeaderName, HeaderValue>(name, value);
            }
        }
        let mut add = |name: &'static str, value: &str| {
            let flat: String = value
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            headers.insert(name, flat);
        };
        let why: String = letter.why.chars().take(REASON_CHARS_MAX).collect();
        add(REASON, &why);
        add(RULE, &letter.rule);
        add(STREAM, &self.source);
        add(SEQUENCE, &letter.sequence.to_string());
        add(SUBJECT, &letter.subject);
        // The same event refused twice within the server's window is kept once.
        let id = format!("{}:{}:{}", self.source, letter.epoch, letter.sequence);
        add("Nats-Msg-Id", &id);
        if cut {
            add(TRUNCATED, &letter.payload.len().to_string());
        }
        headers
    }
}

#[async_trait]
impl DeadLetters for JetStreamLetters {
    async fn write(&self, letter: &Letter) -> Result<(), LetterLost> {
        let room = self.client.max_payload().saturating_sub(HEADER_ROOM);
        let kept = letter.payload.slice(..letter.payload.len().min(room));
        let headers = self.headers(letter, kept.len() < letter.payload.len());
        let rule = token(&letter.rule);
        let subject = format!("{SUBJECT_PREFIX}.{}.{rule}", self.durable);
        let write = async {
            let stored = self
                .context
                .publish_with_headers(subject, headers, kept)
                .await?;
            stored.await
        };
        match tokio::time::timeout(WRITE_TIMEOUT, write).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(LetterLost(error.to_string())),
            Err(_) => Err(LetterLost("NATS did not answer in time".to_owned())),
        }
    }
}

impl fmt::Debug for JetStreamLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamLetters")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// A word that can be one token of a subject.
fn token(text: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    text.chars().map(safe).collect()
}
