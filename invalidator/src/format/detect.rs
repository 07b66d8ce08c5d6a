//! Tells the formats apart by their shape, so that one stream may carry several.

use crate::change::{Change, Format, Malformed, Parsed};
use crate::format::received::{Reading, Received};
use crate::format::{debezium, native};
use serde_json::Value;

/// The largest event that is read, in bytes. NATS carries 1 MiB unless told
/// otherwise; anything near this limit is no change of a row.
pub const EVENT_BYTES_MAX: usize = 8 << 20;

/// Reads one event.
///
/// # Errors
/// What is wrong with it, and what is known of it nevertheless.
pub fn parse(received: &Received<'_>, reading: &Reading) -> Result<Parsed, Malformed> {
    let payload = received.payload;
    if payload.len() > EVENT_BYTES_MAX {
        let size = payload.len();
        return Err(Malformed::new(format!(
            "it has {size} bytes; the most are {EVENT_BYTES_MAX}"
        )));
    }
    if payload.trim_ascii().is_empty() {
        return Ok(empty());
    }
    let event: Value = serde_json::from_slice(payload)
        .map_err(|error| Malformed::new(format!("it is not JSON: {error}")))?;
    let object = match event {
        Value::Null => return Ok(empty()),
        Value::Object(object) => object,
        _ => return Err(Malformed::new("it is JSON, but no object")),
    };
    if object.contains_key(native::MARK) {
        return native::parse(&object).map(|change| Parsed::one(Format::Native, change));
    }
    debezium::parse(&object, reading).unwrap_or_else(|| {
        Err(Malformed::new(format!(
            "its format is unknown: neither `{}`, as in a native event, nor `op`, as in \
             Debezium's envelope",
            native::MARK
        )))
    })
}

fn empty() -> Parsed {
    Parsed::one(Format::Empty, Change::Nothing("an empty payload"))
}
