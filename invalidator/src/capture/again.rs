//! Session after session, until somebody asks it to end.

use crate::capture::face::NotReady;
use cache_core::{Error, Kind};
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The pause between two sessions, and between two looks of an instance that stands by.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs `session` again and again until `stop`; one that ends well has nothing to do for
/// a while. `over` hears of each that ended, and whether it failed. A session is dropped
/// wherever it is: what it had not stored comes again.
///
/// # Errors
/// [`Kind::Mismatch`] and [`Kind::Invalid`] when something is not set up for it. Anything
/// else is waited for.
pub async fn again<S: Future<Output = Result<(), Error>>>(
    stop: &CancellationToken,
    not_ready: &NotReady,
    session: impl Fn() -> S,
    over: impl Fn(bool),
) -> Result<(), Error> {
    loop {
        let ended = tokio::select! {
            ended = session() => ended,
            () = stop.cancelled() => return Ok(()),
        };
        over(ended.is_err());
        match ended {
            Ok(()) => *not_ready.write() = None,
            Err(error) if matches!(error.kind(), Kind::Invalid | Kind::Mismatch) => {
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(%error, "it begins anew");
                *not_ready.write() = Some(error.to_string());
            }
        }
        if timeout(PAUSE, stop.cancelled()).await.is_ok() {
            return Ok(());
        }
    }
}
