//! Writes to the source, by the application.

use crate::caches::{Open, Writes};
use crate::failure::{Failure, Reason};
use bytes::Bytes;
use cache_core::{Error, Kind, Receipt};

/// What became of a write to the source.
pub(super) enum Written {
    Now(Receipt),
    Later(u64),
}

/// Has the application write, at once or from the queue, as the cache does it.
///
/// # Errors
/// The application's, and the queue's.
pub(super) async fn written(
    open: &Open,
    key: &Bytes,
    value: Option<Bytes>,
) -> Result<Written, Failure> {
    Ok(match (&open.writes, value) {
        (Writes::Through(writes), Some(value)) => Written::Now(writes.put(key, value).await?),
        (Writes::Through(writes), None) => Written::Now(writes.delete(key).await?),
        (Writes::Behind(writes), Some(value)) => {
            Written::Later(writes.put(key, value).await.map_err(of_queue)?)
        }
        (Writes::Behind(writes), None) => {
            Written::Later(writes.delete(key).await.map_err(of_queue)?)
        }
        (Writes::Aside, _) => return Err(super::broken()),
    })
}

/// An error of a queue, whose kinds mean something else than those of a load.
fn of_queue(error: Error) -> Failure {
    let reason = match error.kind() {
        Kind::Overloaded => Reason::WriteBehindFull,
        Kind::Unavailable => Reason::QueueUnavailable,
        _ => return error.into(),
    };
    Failure::new(reason, error.to_string())
}
