//! How far the stream is in its database's log, told to those who read replicas.
//!
//! A capture writes each event once, in commit order, and its place in the log beside it.
//! So the place of one event is at or after those of all before it. Events of anybody else
//! in the same stream break that, which nobody here can see; hence it is asked for.

use crate::capture::journal::{ORIGIN, PLACE};
use crate::capture::place::Place;
use crate::source::Source;
use async_nats::jetstream::message::StreamMessage;
use cache_core::model::landmark::Landmark;
use xxhash_rust::xxh3::xxh3_64;

/// The landmark at the newest event; nothing if that has none, or NATS does not answer: the
/// next look finds one. Nobody goes by it before every bucket of L2 was told of that event.
pub async fn newest(source: &Source) -> Option<Landmark> {
    if !source.settings.landmarks {
        return None;
    }
    let sequence = source.look_at_stream().await.ok()?.state.last_sequence;
    let message = source.stream.get_raw_message(sequence).await.ok()?;
    let (commit, log) = place_of(&message)?;
    Some(Landmark {
        position: source.position(sequence),
        commit,
        log,
    })
}

fn place_of(message: &StreamMessage) -> Option<(u64, u64)> {
    let header = |name: &str| message.headers.get(name).map(|value| value.as_str());
    let place: Place = header(PLACE)?.parse().ok()?;
    Some((place.lsn, xxh3_64(header(ORIGIN)?.as_bytes())))
}
