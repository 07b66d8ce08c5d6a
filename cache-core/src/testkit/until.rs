//! Waiting for a condition, never for a span of time.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// The pause between two looks at a condition.
const INTERVAL: Duration = Duration::from_millis(10);

/// A condition that did not come true in time.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("waited {waited:?} and looked {looks} times, but it never came true: {what}")]
pub struct TimedOut {
    /// What was waited for, in the words of the caller.
    pub what: String,
    /// How long.
    pub waited: Duration,
    /// How often the condition was looked at; one look means that the look
    /// itself hung.
    pub looks: u64,
}

/// Lets a span of time pass on purpose: the pace of a load, the length of a fake's
/// work, the length of an outage. Never a way to wait for something.
pub async fn pace(span: Duration) {
    sleep(span).await;
}

/// Looks at `condition` every 10 ms until it is true.
///
/// A look that hangs is cut off at the deadline too. Runs on tokio's time, so
/// a test that waits for real servers must not pause that time.
///
/// # Errors
/// [`TimedOut`], which repeats `what`, once `deadline` has passed.
pub async fn until<C, L>(deadline: Duration, what: &str, mut condition: C) -> Result<(), TimedOut>
where
    C: FnMut() -> L,
    L: Future<Output = bool>,
{
    until_some(deadline, what, || {
        let look = condition();
        async { look.await.then_some(()) }
    })
    .await
}

/// Looks at `condition` every 10 ms until it has something to give.
///
/// # Errors
/// [`TimedOut`], which repeats `what`, once `deadline` has passed.
pub async fn until_some<C, L, T>(
    deadline: Duration,
    what: &str,
    mut condition: C,
) -> Result<T, TimedOut>
where
    C: FnMut() -> L,
    L: Future<Output = Option<T>>,
{
    let end = Instant::now() + deadline;
    let mut looks = 0;
    loop {
        looks += 1;
        match timeout_at(end, condition()).await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) if Instant::now() < end => sleep(INTERVAL).await,
            Ok(None) | Err(_) => {
                return Err(TimedOut {
                    what: what.to_owned(),
                    waited: deadline,
                    looks,
                });
            }
        }
    }
}
