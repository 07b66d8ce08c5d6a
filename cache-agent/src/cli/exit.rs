//! How serving ends, and what is said of it.

use crate::app::App;
use crate::config::Drain;
use crate::listen::{Doors, ListenError};
use cache_core::ops::exit::Exit;
use cache_core::ops::shutdown::Signals;
use std::fmt::Display;
use tokio_util::sync::CancellationToken;

impl From<&ListenError> for Exit {
    fn from(_: &ListenError) -> Self {
        Self::Failed
    }
}

/// Says what went wrong, and gives the code for it.
pub fn fail<E: Display>(error: &E) -> Exit
where
    for<'e> Exit: From<&'e E>,
{
    eprintln!("cache-agent: {error}");
    error.into()
}

/// Serves until a signal asks for the end, `beside` ends, or something fails. A
/// second signal ends it at once.
pub async fn serve(
    app: App,
    doors: Doors,
    drain: Drain,
    mut signals: Signals,
    beside: impl Future<Output = ()>,
) -> Exit {
    let stop = CancellationToken::new();
    let serving = app.serve(doors, drain, stop.clone());
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => Some(served),
        _ = signals.next() => None,
        () = beside => None,
    };
    stop.cancel();
    let served = match served {
        Some(served) => served,
        None => tokio::select! {
            served = &mut serving => served,
            asked = signals.next() => return Exit::Killed(asked),
        },
    };
    match served {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("cache-agent: {error}");
            Exit::Failed
        }
    }
}
