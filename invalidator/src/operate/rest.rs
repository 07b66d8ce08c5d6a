//! Pauses all instances and waits until they rest; ends the pause.

use crate::pause::{Flag, Paused};
use crate::settings::SourceSettings;
use crate::source::Link;
use async_nats::jetstream::consumer::Info;
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use cache_core::source::Cause;
use cache_core::{Error, Kind};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long instances may take to finish what they have in hand.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// What a pause means, for whoever asks for one.
pub const MEANING: &str = "\
While the invalidators are paused
- changes of the database reach no cache; they wait in the stream, as long as it keeps them
- L1 answers nowhere after about 3 s: the heartbeat says that nobody carries changes
- Redis goes on answering what it has, however old that is by now: the staleness bound is void
- reads that ask for a bound (max_staleness, strict) keep it, because they count from the load
- writes through the cache, flush and bump work";

/// How far the instances are with resting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nobody asks for events, and none is in hand.
    Quiet,
    /// Some still ask, or have events in hand: so many requests, and events.
    Busy(usize, usize),
}

/// Pauses them all; it outlives them.
///
/// # Errors
/// [`Kind::Unavailable`] when NATS does not answer or refuses.
pub async fn pause(link: &Link, source: &SourceSettings, paused: &Paused) -> Result<Rest, Error> {
    let flag = Flag::new(link.context.clone(), source);
    flag.set(Some(paused)).await?;
    let mut rest = look(link, source).await?;
    let quiet = async {
        while rest != Rest::Quiet {
            sleep(PAUSE).await;
            rest = look(link, source).await?;
        }
        Ok(())
    };
    match timeout(PATIENCE, quiet).await {
        Ok(Err(error)) => Err(error),
        Ok(Ok(())) | Err(_) => Ok(rest),
    }
}

/// Ends the pause of all; whether there was one.
///
/// # Errors
/// [`Kind::Unavailable`] when NATS does not answer or refuses.
pub async fn resume(link: &Link, source: &SourceSettings) -> Result<bool, Error> {
    let flag = Flag::new(link.context.clone(), source);
    let was_paused = flag.read().await?.is_some();
    if was_paused {
        flag.set(None).await?;
    }
    Ok(was_paused)
}

async fn look(link: &Link, source: &SourceSettings) -> Result<Rest, Error> {
    let stream = link.stream(&source.stream).await?;
    match stream.consumer_info(&source.durable).await {
        Ok(Info {
            num_waiting,
            num_ack_pending,
            ..
        }) => Ok(match (num_waiting, num_ack_pending) {
            (0, 0) => Rest::Quiet,
            (asking, in_hand) => Rest::Busy(asking, in_hand),
        }),
        // Nobody has ever read.
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Ok(Rest::Quiet),
        Err(error) => {
            let doing = "looking whether the instances rest";
            let failed = Error::new(Kind::Unavailable, doing, source.durable.as_str());
            Err(failed.because(Cause::from(error)))
        }
    }
}
