//! The stream that events are written into: found or made, and looked at.

use crate::capture::settings::Events;
use crate::source::Link;
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{Context, ErrorCode, context};
use cache_core::{Error, Kind};

/// What is being done when something is wrong with it.
pub(super) const OPENING: &str = "opening the stream of changes";
/// The smallest limit of NATS under which every event fits, in bytes.
const PAYLOAD_MIN: usize = 1 << 20;

/// Opens the stream; it takes what is written under the prefix.
///
/// # Errors
/// [`Kind::Unavailable`] when NATS does not answer; [`Kind::Mismatch`] when the stream is
/// not there, or does not take what is written.
pub async fn open(link: &Link, events: &Events) -> Result<Stream, Error> {
    let payload = link.client.max_payload();
    if payload < PAYLOAD_MIN {
        let hint = format!("NATS takes {payload} bytes; `max_payload` must be 1 MB or more");
        return Err(unfit(&events.stream, hint));
    }
    let stream = find(&link.context, events).await?;
    takes(&stream, events)?;
    Ok(stream)
}

async fn find(context: &Context, events: &Events) -> Result<Stream, Error> {
    let name = events.stream.as_str();
    let opened = match events.create {
        Some(keep) => {
            let config = Config {
                name: name.to_owned(),
                subjects: vec![format!("{}.>", events.prefix)],
                retention: RetentionPolicy::Limits,
                storage: StorageType::File,
                max_age: keep,
                ..Config::default()
            };
            let opened = context.get_or_create_stream(config).await;
            opened.map_err(|error| Error::new(Kind::Unavailable, OPENING, name).because(error))
        }
        None => context.get_stream(name).await.map_err(|error| {
            let is_absent = matches!(
                error.kind(),
                context::GetStreamErrorKind::JetStream(ref cause)
                    if cause.error_code() == ErrorCode::STREAM_NOT_FOUND
            );
            match is_absent {
                true => unfit(
                    name,
                    "NATS has no such stream; write its right name, or `create_stream = true`"
                        .to_owned(),
                ),
                false => Error::new(Kind::Unavailable, OPENING, name).because(error),
            }
        }),
    };
    let stream = opened?;
    if stream.cached_info().config.storage == StorageType::Memory {
        let stream = name;
        tracing::warn!(
            stream,
            "the stream is kept in memory: a restart of NATS clears every cache"
        );
    }
    Ok(stream)
}

/// Whether the stream takes the events.
fn takes(stream: &Stream, events: &Events) -> Result<(), Error> {
    let wanted = format!("{}.>", events.prefix);
    let subjects = &stream.cached_info().config.subjects;
    let covers = |subject: &String| {
        subject == ">" || *subject == wanted || {
            let prefix = subject.strip_suffix('>');
            prefix.is_some_and(|prefix| wanted.starts_with(prefix))
        }
    };
    match subjects.iter().any(covers) {
        true => Ok(()),
        false => Err(unfit(
            &events.stream,
            format!("the stream does not take {wanted}; add it to the stream's subjects"),
        )),
    }
}

pub(super) fn unfit(stream: &str, hint: String) -> Error {
    Error::new(Kind::Mismatch, OPENING, stream).hint(hint)
}
