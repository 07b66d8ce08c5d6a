//! How serving ends, and what is said of it.

use crate::app::App;
use crate::cli::say::complain;
use crate::config::Drain;
use crate::listen::{Doors, ListenError};
use cache_core::ops::exit::Exit;
use cache_core::ops::manager::Manager;
use cache_core::ops::shutdown::Signals;
use std::fmt::Display;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

impl From<&ListenError> for Exit {
    fn from(_: &ListenError) -> Self {
        Self::Failed
    }
}

/// Who says when it is time to end, and who is told of it.
#[derive(Debug)]
pub struct Masters {
    /// Signals.
    pub signals: Signals,
    /// The service manager.
    pub manager: Manager,
}

/// Says what went wrong, and gives the code for it.
pub fn fail<E: Display>(error: &E) -> Exit
where
    for<'e> Exit: From<&'e E>,
{
    complain(error);
    error.into()
}

/// Serves until a signal asks for the end, `beside` ends, or something fails. A
/// second signal ends it at once.
pub async fn serve(
    app: App,
    doors: Doors,
    drain: Drain,
    masters: Masters,
    beside: impl Future<Output = ()>,
) -> Exit {
    let Masters {
        mut signals,
        manager,
    } = masters;
    let stop = CancellationToken::new();
    let readiness = app.readiness.clone();
    // On a task of its own: what it says of the runtime is then true of its workers.
    let mut attending = JoinSet::new();
    attending.spawn(
        manager
            .clone()
            .attend(Arc::new(move || readiness.why_not())),
    );
    let serving = app.clone().serve(doors, drain, stop.clone());
    let mut serving = std::pin::pin!(serving);
    // The doors are bound: whoever connects from here on is answered, be it with misses.
    manager.ready();
    let served = tokio::select! {
        served = &mut serving => Some(served),
        _ = signals.next() => None,
        () = beside => None,
    };
    let served = match served {
        Some(served) => served,
        None => {
            let drain = app.drain_or(drain);
            manager.stopping(drain.delay + drain.timeout + app.leaves_within());
            stop.cancel();
            tokio::select! {
                served = &mut serving => served,
                asked = signals.next() => return Exit::Killed(asked),
            }
        }
    };
    match served {
        Ok(()) => Exit::Done,
        Err(error) => {
            eprintln!("cache-agent: {error}");
            Exit::Failed
        }
    }
}
