//! The messages of CockroachDB's changefeeds, in the wrapped envelope (the default) and
//! the enriched one.
//!
//! What surprises in them:
//!
//! - Without the option `diff` there is no `before`: an insert looks like an update, and
//!   a delete has no row at all, only the values of its key without their names.
//! - The table is in `topic` or in `source`, depending on sink and options. Otherwise it
//!   is what the subject ends with: `....schema.table`.
//! - `updated` is a time in nanoseconds with a logical part behind the dot.
//! - `resolved` says up to when all changes were sent; it changes nothing.
//! - A webhook's messages come several at a time, in `payload`.

use crate::change::{Change, Format, Malformed, Op, Parsed, Place, Row, RowChange, TableName};
use crate::format::debezium_flat::is_marked;
use crate::format::fields::{Object, at_time, either, object, opt_text, table_of_subject, whole};
use crate::format::received::{Reading, Received};
use serde_json::Value;

/// The schema of tables that are named without one.
const SCHEMA: &str = "public";

/// Reads `event` if it has the shape; `None` if it has not.
///
/// # Errors
/// Never: what is wrong with one message does not keep others from their effect.
pub fn parse(
    event: &Object,
    received: &Received<'_>,
    _: &Reading,
) -> Option<Result<Parsed, Malformed>> {
    if let Some(Value::Array(messages)) = event.get("payload") {
        return Some(Ok(several(messages, received)));
    }
    let event = match event.get("payload") {
        Some(Value::Object(payload)) => payload,
        _ => event,
    };
    fits(event).then(|| {
        let (change, place) = one(event, received);
        Ok(Parsed::one(Format::CockroachDb, change).at(place))
    })
}

fn fits(event: &Object) -> bool {
    let has = |key: &str| event.contains_key(key);
    let source = event.get("source").and_then(Value::as_object);
    match (has("op"), source) {
        (true, Some(source)) => source.contains_key("changefeed_sink"),
        (true, None) => has("after") && has("ts_ns") && !has("source"),
        (false, _) => has("after") && !is_marked(event) || is_resolved(event),
    }
}

/// Nothing else may look like it: it would be taken for no change.
fn is_resolved(event: &Object) -> bool {
    let time = opt_text(event, "resolved").and_then(micros);
    let topic = usize::from(event.contains_key("topic"));
    time.is_some() && event.len() == 1 + topic
}

fn several(messages: &[Value], received: &Received<'_>) -> Parsed {
    let read = messages.iter().map(|message| match message {
        Value::Object(message) => one(message, received),
        _ => {
            let wrong = Malformed::new("each of `payload` must be an object");
            (Change::Malformed(wrong), Place::default())
        }
    });
    let (changes, places): (Vec<_>, Vec<_>) = read.unzip();
    Parsed {
        format: Format::CockroachDb,
        changes,
        place: places.into_iter().reduce(Place::with).unwrap_or_default(),
    }
}

fn one(event: &Object, received: &Received<'_>) -> (Change, Place) {
    let source = event.get("source").and_then(Value::as_object);
    let time = opt_text(event, "updated").or_else(|| opt_text(event, "mvcc_timestamp"));
    let of_source = || {
        let source = source?;
        opt_text(source, "ts_hlc").or_else(|| opt_text(source, "mvcc_timestamp"))
    };
    let place = at_time(time.or_else(of_source).and_then(micros));
    if is_resolved(event) {
        return (Change::Nothing("a heartbeat"), place);
    }
    (either(row(event, source, received, place)), place)
}

fn row(
    event: &Object,
    source: Option<&Object>,
    received: &Received<'_>,
    place: Place,
) -> Result<RowChange, Malformed> {
    let table = table_of(event, source, received)?;
    let image = |key: &str| {
        let image = object(event, key).map_err(|wrong| wrong.of_table(&table))?;
        Ok(image.map(|cells| Row::plain(cells.clone())))
    };
    let (old, new) = (image("before")?, image("after")?);
    let op = match (&new, &old, event.contains_key("before")) {
        (None, ..) => Op::Delete,
        (Some(_), None, true) => Op::Insert,
        (Some(_), ..) => Op::Update,
    };
    let change = RowChange {
        table,
        op,
        old,
        new,
        changed_ms: place.commit_ms(),
    };
    whole(change, "after")
}

fn table_of(
    event: &Object,
    source: Option<&Object>,
    received: &Received<'_>,
) -> Result<TableName, Malformed> {
    if let Some(table) = source.and_then(|source| opt_text(source, "table_name")) {
        let of = |key: &str| opt_text(source?, key);
        return Ok(TableName {
            database: of("database_name").map(str::to_owned),
            schema: of("schema_name").unwrap_or(SCHEMA).to_owned(),
            table: table.to_owned(),
        });
    }
    let Some(topic) = opt_text(event, "topic") else {
        return table_of_subject(received.subject);
    };
    let parts: Vec<_> = topic.split('.').collect();
    let (database, schema, table) = match parts[..] {
        [table] => (None, SCHEMA, table),
        [schema, table] => (None, schema, table),
        [.., database, schema, table] => (Some(database.to_owned()), schema, table),
        [] => (None, SCHEMA, topic),
    };
    Ok(TableName {
        database,
        schema: schema.to_owned(),
        table: table.to_owned(),
    })
}

/// `1532377312562986715.0000000000`: nanoseconds since the epoch, and a count of what
/// happened within the same one.
fn micros(time: &str) -> Option<u64> {
    let (nanos, _) = time.split_once('.').unwrap_or((time, ""));
    // Some versions write seconds before the dot.
    (nanos.len() > 15).then(|| nanos.parse::<u64>().ok().map(|nanos| nanos / 1_000))?
}
