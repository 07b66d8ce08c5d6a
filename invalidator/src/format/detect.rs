//! From bytes to changes, whatever the format.

use crate::change::{Change, Format, Malformed, Parsed};
use crate::format::received::{Reading, Received};
use crate::format::{cloudevents, shapes};
use serde_json::Value;

/// The largest event that is read, in bytes. NATS carries 1 MiB unless told
/// otherwise; anything near this limit is no change of a row.
pub const EVENT_BYTES_MAX: usize = 8 << 20;
/// The most changes that are looked at one by one in an event. A transaction beyond it
/// clears every cache, which costs less.
pub const CHANGES_MAX: usize = 10_000;

/// Reads one event, in the format that is asked for or in the one that it shows.
///
/// # Errors
/// What is wrong with it, and what is known of it nevertheless.
pub fn parse(received: &Received<'_>, reading: &Reading) -> Result<Parsed, Malformed> {
    let mut parsed = read(received, reading)?;
    match parsed.changes.len() {
        0 => parsed.changes.push(Change::Nothing("it has no changes")),
        1..=CHANGES_MAX => {}
        count => {
            let why = format!("it has {count} changes; the most are {CHANGES_MAX}");
            parsed.changes = vec![Change::Lost(why)];
        }
    }
    Ok(parsed)
}

fn read(received: &Received<'_>, reading: &Reading) -> Result<Parsed, Malformed> {
    let payload = received.payload;
    if payload.len() > EVENT_BYTES_MAX {
        let size = payload.len();
        return Err(Malformed::new(format!(
            "it has {size} bytes; the most are {EVENT_BYTES_MAX}"
        )));
    }
    let wanted = reading.format;
    let envelopes = wanted.is_none_or(|format| format == Format::CloudEvents);
    let binary = envelopes && cloudevents::is_binary(received);
    if payload.trim_ascii().is_empty() && !binary {
        return Ok(empty());
    }
    let event: Value = serde_json::from_slice(payload)
        .map_err(|error| Malformed::new(format!("it is not JSON: {error}")))?;
    if binary {
        return cloudevents::binary(received, event, reading);
    }
    let object = match event {
        Value::Null => return Ok(empty()),
        Value::Object(object) => object,
        Value::Array(all) if envelopes && cloudevents::is_batch(received, &all) => {
            return Ok(cloudevents::batch(&all, received, reading));
        }
        _ => return Err(Malformed::new("it is JSON, but no object")),
    };
    if envelopes && (object.contains_key(cloudevents::MARK) || wanted.is_some()) {
        return cloudevents::parse(&object, received, reading);
    }
    let read = shapes::parse(&object, received, reading);
    read.unwrap_or_else(|| Err(unknown(wanted)))
}

fn unknown(wanted: Option<Format>) -> Malformed {
    Malformed::new(match wanted {
        None => "its format is unknown: it has the shape of none that is read here".to_owned(),
        Some(format) => {
            let word = format.word();
            format!("it has not the shape of `{word}`, the `format` of [source]")
        }
    })
}

fn empty() -> Parsed {
    Parsed::one(Format::Empty, Change::Nothing("an empty payload"))
}
