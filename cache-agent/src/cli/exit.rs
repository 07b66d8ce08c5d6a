//! How the process ends, and the code that says so.

use crate::app::App;
use crate::config::Drain;
use crate::listen::{Doors, ListenError};
use cache_core::ops::shutdown::{Asked, Signals};
use cache_core::{Error, Kind};
use std::fmt::Display;
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As it was asked to.
    Done,
    /// Something failed.
    Failed,
    /// The arguments or the configuration are wrong.
    Usage,
    /// A check found problems.
    Problems,
    /// Redis or NATS cannot be reached.
    Unreachable,
    /// At once, by a second signal.
    Killed(Asked),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Problems => 3,
            Exit::Unreachable => 4,
            Exit::Killed(Asked(code)) => code,
        })
    }
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        match error.kind() {
            Kind::Unavailable => Self::Unreachable,
            // An address or a policy that cannot be: the file is wrong.
            Kind::Invalid | Kind::Mismatch => Self::Usage,
            _ => Self::Failed,
        }
    }
}

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
