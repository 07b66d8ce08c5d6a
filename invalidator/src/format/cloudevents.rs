//! CloudEvents: an envelope with `specversion`, `type` and `data`, around an event of
//! another format.
//!
//! All three ways of the NATS binding are read: structured (one JSON object), batch (a
//! list of them, also known by its content type), and binary (`ce-` headers, and the data
//! as payload). `data` is a native event, whose mark may be left out, or one of any other
//! format that is known here. Debezium's own CloudEvents have `iodebeziumop` and the
//! table among the attributes, and only the rows in `data`.

use crate::change::{Change, Format, Malformed, Parsed, Place};
use crate::format::fields::{Object, base64, number, object, opt_text};
use crate::format::received::{Reading, Received};
use crate::format::time::micros;
use crate::format::{debezium, native, shapes};
use serde_json::{Value, json};

/// The mark of an envelope.
pub const MARK: &str = "specversion";
/// What the names of its attributes begin with among headers.
const HEADER: &str = "ce-";
const BATCH: &str = "application/cloudevents-batch";

/// Whether the headers make a payload the data of an event.
pub fn is_binary(received: &Received<'_>) -> bool {
    received.header("ce-specversion").is_some()
}

/// Whether a list is a batch of events.
pub fn is_batch(received: &Received<'_>, list: &[Value]) -> bool {
    let kind = received.header("content-type");
    let first = list.first().and_then(|first| first.get(MARK));
    first.is_some() || kind.is_some_and(|kind| kind.starts_with(BATCH))
}

/// Reads an event whose attributes are headers.
///
/// # Errors
/// What is wrong with it, and what is known of it nevertheless.
pub fn binary(
    received: &Received<'_>,
    data: Value,
    reading: &Reading,
) -> Result<Parsed, Malformed> {
    let mut event = Object::new();
    for (name, value) in received.headers {
        let name = name.to_ascii_lowercase();
        if let Some(attribute) = name.strip_prefix(HEADER) {
            event.insert(attribute.to_owned(), value.as_str().into());
        }
    }
    event.insert("data".to_owned(), data);
    parse(&event, received, reading)
}

/// Reads several events. One that is wrong does not keep others from their effect.
pub fn batch(events: &[Value], received: &Received<'_>, reading: &Reading) -> Parsed {
    let mut changes = Vec::with_capacity(events.len());
    let mut places = Vec::with_capacity(events.len());
    for event in events {
        let read = match event {
            Value::Object(event) => parse(event, received, reading),
            _ => Err(Malformed::new("each event of a batch must be an object")),
        };
        match read {
            Ok(parsed) => {
                changes.extend(parsed.changes);
                places.push(parsed.place);
            }
            Err(malformed) => changes.push(Change::Malformed(malformed)),
        }
    }
    Parsed {
        format: Format::CloudEvents,
        changes,
        place: places.into_iter().reduce(Place::with).unwrap_or_default(),
    }
}

/// Reads one event.
///
/// # Errors
/// What is wrong with it, and what is known of it nevertheless.
pub fn parse(
    event: &Object,
    received: &Received<'_>,
    reading: &Reading,
) -> Result<Parsed, Malformed> {
    let version = opt_text(event, MARK).unwrap_or_default();
    if version != "1" && !version.starts_with("1.") {
        return Err(Malformed::new("`specversion` must be 1.0"));
    }
    let parsed = match event.contains_key("iodebeziumop") {
        true => of_debezium(event, reading),
        false => inner(&data_of(event)?, received, reading),
    }?;
    let place = Place {
        commit_us: parsed
            .place
            .commit_us
            .or_else(|| opt_text(event, "time").and_then(micros)),
        ..parsed.place
    };
    Ok(Parsed {
        format: Format::CloudEvents,
        place,
        ..parsed
    })
}

fn inner(data: &Object, received: &Received<'_>, reading: &Reading) -> Result<Parsed, Malformed> {
    // What is asked for is the envelope; its data may be anything that is known.
    let any = Reading {
        format: None,
        messages: reading.messages.clone(),
    };
    if let Some(parsed) = shapes::parse(data, received, &any) {
        return parsed;
    }
    match data.contains_key("cache") {
        true => native::parse_body(data)
            .map(|named| Parsed::one(Format::CloudEvents, Change::Named(named))),
        false => Err(Malformed::new(
            "its `data` is neither a native event nor one of another known format",
        )),
    }
}

fn data_of(event: &Object) -> Result<Object, Malformed> {
    let wrong = || Malformed::new("`data` must be a JSON object");
    match (event.get("data"), opt_text(event, "data_base64")) {
        (Some(Value::Object(data)), _) => Ok(data.clone()),
        (Some(Value::String(text)), _) => serde_json::from_str(text).map_err(|_| wrong()),
        (None | Some(Value::Null), Some(text)) => {
            let bytes = base64(text).ok_or_else(wrong)?;
            serde_json::from_slice(&bytes).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}

/// The envelope that Debezium would have written itself.
fn of_debezium(event: &Object, reading: &Reading) -> Result<Parsed, Malformed> {
    let data = object(event, "data")?;
    let data = match data.and_then(|data| data.get("payload")) {
        Some(Value::Object(payload)) => Some(payload),
        _ => data,
    };
    let row = |key: &str| data.and_then(|data| data.get(key));
    let of = |name: &str| event.get(&format!("iodebezium{name}"));
    let source = json!({
        "connector": of("connector"),
        "db": of("db"),
        "schema": of("schema"),
        "table": of("table"),
        "collection": of("collection"),
        "lsn": number(event, "iodebeziumlsn"),
        "ts_ms": number(event, "iodebeziumtsms"),
    });
    let envelope = json!({
        "op": of("op"),
        "before": row("before"),
        "after": row("after"),
        "source": source,
    });
    match envelope {
        Value::Object(envelope) => debezium::parse_envelope(&envelope, reading),
        _ => Err(Malformed::new("it is no envelope")),
    }
}
