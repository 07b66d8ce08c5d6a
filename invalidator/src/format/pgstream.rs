//! pgstream's events: the fields of [wal2json]'s version 2, with
//! `metadata` beside them and an `id` in each column; its webhooks wrap them in `Data`.

use crate::change::{Format, Malformed, Parsed};
use crate::format::fields::{Object, opt_text};
use crate::format::received::{Reading, Received};
use crate::format::wal2json;
use serde_json::Value;

/// Reads `event` if it has the shape; `None` if it has not.
///
/// # Errors
/// What is wrong with it, and its table if that much could be read.
pub fn parse(
    event: &Object,
    _: &Received<'_>,
    reading: &Reading,
) -> Option<Result<Parsed, Malformed>> {
    let event = match event.get("Data") {
        Some(Value::Object(data)) => data,
        _ => event,
    };
    let action = opt_text(event, "action")?;
    let metadata = event.get("metadata").is_some_and(Value::is_object);
    let fits = action.len() == 1 && metadata;
    fits.then(|| wal2json::change(event, Format::Pgstream, reading))
}
