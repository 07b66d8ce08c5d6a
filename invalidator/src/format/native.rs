//! The native format, for applications that know their keys:
//!
//! ```json
//! {"cacheaside": 1, "cache": "users", "keys": ["user:7"], "tags": ["team:3"],
//!  "source_time_ms": 1700000000000}
//! ```
//!
//! `keys` and `tags` may be left out, but not both. The tag `*` clears the cache.
//! `source_time_ms` is for measuring lag and may be left out. `commit_lsn`, `index`,
//! `lsn` and `commit_us` say where the source saw it, as in [`Place`]; each may be left
//! out. Keys that are not known here are ignored, so that newer writers can talk to older
//! readers.
//!
//! With `op` it tells of a row instead, see [`row`]. Two more come from what writes the
//! changes of a whole database: `{"cacheaside": 1, "lost": "why"}`, where some may be
//! missing, clears every cache of the rules; `{"cacheaside": 1, "beat": …}` says that it
//! lives.

use crate::change::{Change, Format, Malformed, Named, Parsed, Place};
use crate::format::fields::{Object, number, source_time};
use crate::format::received::{Reading, Received};
use crate::format::row;
use cache_core::model::key::{Key, Name};
use cache_core::model::tag::Tag;
use serde_json::Value;

/// The version of the format that this reads.
pub const VERSION: u64 = 1;
/// The key that marks a native event and holds its version.
pub const MARK: &str = "cacheaside";
/// The key of an event that says that changes may have been lost.
pub const LOST: &str = "lost";
/// The key of an event that says nothing but that its writer lives.
pub const BEAT: &str = "beat";
/// The most keys and tags in one event; more are sent as several events.
pub const NAMED_MAX: usize = 1_000;

/// Reads `event` if it is marked as native; `None` if it is not.
///
/// # Errors
/// As [`parse`].
pub fn read(event: &Object, _: &Received<'_>, _: &Reading) -> Option<Result<Parsed, Malformed>> {
    event.contains_key(MARK).then(|| {
        let place = Place {
            commit_lsn: number(event, "commit_lsn"),
            index: number(event, "index"),
            lsn: number(event, "lsn"),
            commit_us: number(event, "commit_us"),
        };
        Ok(Parsed::one(Format::Native, parse(event)?).at(place))
    })
}

/// Reads a native event.
///
/// # Errors
/// What is wrong with it, and the cache if that much could be read.
pub fn parse(event: &Object) -> Result<Change, Malformed> {
    if event.get(MARK).and_then(Value::as_u64) != Some(VERSION) {
        return Err(Malformed::new(format!(
            "`{MARK}` must be {VERSION}, the one version of the native format"
        )));
    }
    if event.contains_key(row::MARK) {
        return row::parse(event).map(Change::Row);
    }
    if let Some(why) = event.get(LOST) {
        let why = why.as_str().unwrap_or("changes may have been lost");
        return Ok(Change::Lost(why.to_owned()));
    }
    if event.contains_key(BEAT) {
        return Ok(Change::Nothing("a heartbeat"));
    }
    parse_body(event).map(Change::Named)
}

/// Reads everything but the version: a logical message is marked by its prefix.
///
/// # Errors
/// As [`parse`].
pub fn parse_body(event: &Object) -> Result<Named, Malformed> {
    let cache = match event.get("cache") {
        Some(Value::String(text)) => {
            Name::new(text).map_err(|error| Malformed::new(format!("`cache`: {error}")))?
        }
        _ => return Err(Malformed::new("`cache` must be a string")),
    };
    parse_rest(event, &cache).map_err(|wrong| wrong.of_cache(&cache))
}

fn parse_rest(event: &Object, cache: &Name) -> Result<Named, Malformed> {
    let keys = strings(event, "keys")?;
    let tags = strings(event, "tags")?;
    match keys.len() + tags.len() {
        0 => return Err(Malformed::new("it names neither `keys` nor `tags`")),
        1..=NAMED_MAX => {}
        count => {
            return Err(Malformed::new(format!(
                "it names {count} keys and tags; the most are {NAMED_MAX}"
            )));
        }
    }
    for key in &keys {
        Key::new(key.as_bytes()).map_err(|error| Malformed::new(format!("`keys`: {error}")))?;
    }
    let tags = tags.into_iter().map(tag).collect::<Result<_, _>>()?;
    Ok(Named {
        cache: cache.clone(),
        keys: keys.into_iter().map(str::to_owned).collect(),
        tags,
        changed_ms: source_time(event)?,
    })
}

fn tag(text: &str) -> Result<Tag, Malformed> {
    match text {
        "*" => Ok(Tag::all()),
        _ => Tag::new(text).map_err(|error| Malformed::new(format!("`tags`: {error}"))),
    }
}

fn strings<'e>(event: &'e Object, key: &str) -> Result<Vec<&'e str>, Malformed> {
    let wrong = || Malformed::new(format!("`{key}` must be a list of strings"));
    match event.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(all)) => all
            .iter()
            .map(|one| one.as_str().ok_or_else(wrong))
            .collect(),
        Some(_) => Err(wrong()),
    }
}
