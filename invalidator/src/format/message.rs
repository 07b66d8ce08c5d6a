//! Logical messages: what an application writes into the database's own log, in the
//! transaction that changes the rows.
//!
//! ```sql
//! SELECT pg_logical_emit_message(true, 'cacheaside', '{"cache": "users", "tags": ["team:1"]}');
//! ```
//!
//! With the prefix `cacheaside`, or one that a rule names as `logical_message`, the
//! content is a native event; the mark `cacheaside` may be left out of it. Messages with
//! other prefixes are somebody else's.

use crate::change::{Change, Malformed};
use crate::format::native;
use crate::format::received::Reading;
use serde_json::{Map, Value};

/// What a message says. `content` is `None` where it could not be decoded, which is
/// wrong only if the message is for us.
pub fn read(
    prefix: &str,
    content: Option<&[u8]>,
    committed_ms: Option<u64>,
    reading: &Reading,
) -> Change {
    let Some(cache) = reading.message(prefix) else {
        return Change::Nothing("a logical message for somebody else");
    };
    let Some(content) = content else {
        return Change::Malformed(Malformed::new("the message's content cannot be decoded"));
    };
    let mut event: Map<String, Value> = match serde_json::from_slice(content) {
        Ok(event) => event,
        Err(error) => {
            let why = format!("the message's content is no native event: {error}");
            return Change::Malformed(Malformed::new(why));
        }
    };
    if let Some(cache) = cache {
        let named = Value::from(cache.as_str());
        event.entry("cache").or_insert(named);
    }
    let change = match event.contains_key(native::MARK) {
        true => native::parse(&event),
        false => native::parse_body(&event).map(Change::Named),
    };
    match change {
        Ok(Change::Named(mut named)) => {
            named.changed_ms = named.changed_ms.or(committed_ms);
            Change::Named(named)
        }
        Ok(change) => change,
        Err(malformed) => Change::Malformed(malformed),
    }
}
