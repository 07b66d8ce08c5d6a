//! How a service's process ends, and the code that says so: the same for both.

use crate::error::{Error, Kind};
use crate::ops::shutdown::Asked;
use std::process::ExitCode;

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
    /// There is nothing of what was asked for.
    Absent,
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
            Exit::Absent => 5,
            Exit::Killed(Asked(code)) => code,
        })
    }
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        match error.kind() {
            Kind::Unavailable => Self::Unreachable,
            // An address, an epoch or a name that cannot be: a file is wrong.
            Kind::Invalid | Kind::Mismatch => Self::Usage,
            _ => Self::Failed,
        }
    }
}
