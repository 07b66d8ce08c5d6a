//! Fields that several formats have.

use crate::change::Malformed;
use serde_json::{Map, Value};

/// A text that is not empty.
///
/// # Errors
/// When it is missing, empty, or something else.
pub fn text(event: &Map<String, Value>, key: &str) -> Result<String, Malformed> {
    match event.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        _ => Err(Malformed::new(format!("`{key}` must be a string"))),
    }
}

/// When the source changed, in milliseconds since the epoch, as `source_time_ms`.
///
/// # Errors
/// When it is something else.
pub fn source_time(event: &Map<String, Value>) -> Result<Option<u64>, Malformed> {
    match event.get("source_time_ms") {
        None | Some(Value::Null) => Ok(None),
        Some(time) => time.as_u64().map(Some).ok_or_else(|| {
            Malformed::new("`source_time_ms` must be whole milliseconds since the epoch")
        }),
    }
}
