//! How far the stream is in its database's log, told to those who read replicas.
//!
//! A capture writes each event once, in commit order, and its place in the log beside it.
//! So the place of one event is at or after those of all before it. Events of anybody else
//! in the same stream break that, which nobody here can see; hence it is asked for.

use crate::capture::journal::place_of;
use crate::source::Source;
use cache_core::model::landmark::Landmark;
use xxhash_rust::xxh3::xxh3_64;

/// The landmark at the newest event; nothing if that has none, or NATS does not answer: the
/// next look finds one. Nobody goes by it before every bucket of L2 was told of that event.
pub async fn newest(source: &Source) -> Option<Landmark> {
    let sequence = source.look_at_stream().await.ok()?.state.last_sequence;
    let message = source.stream.get_raw_message(sequence).await.ok()?;
    let (place, origin) = place_of(&message)?;
    Some(Landmark {
        position: source.position(sequence),
        commit: place.lsn,
        log: xxh3_64(origin.to_string().as_bytes()),
    })
}
