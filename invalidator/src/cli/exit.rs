//! How the process ends, and the code that says so.

use cache_core::config::report::Report;
use cache_core::ops::shutdown::Asked;
use cache_core::{Error, Kind};
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
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
            // An address, an epoch or a name that cannot be: a file is wrong.
            Kind::Invalid | Kind::Mismatch => Self::Usage,
            _ => Self::Failed,
        }
    }
}

/// Says what went wrong.
pub fn complain(error: &dyn Display) {
    // Nobody may be reading; that is no reason to panic.
    let _ = writeln!(io::stderr(), "invalidator: {error}");
}

/// Writes data to standard output.
pub fn say(text: &str) -> Exit {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that has seen enough, as `head` does, is no failure.
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            complain(&format_args!("cannot write: {error}"));
            Exit::Failed
        }
    }
}

/// Reads a file with `parse`, and says everything that is wrong with it.
pub fn read<T>(
    file: &Path,
    parse: impl FnOnce(&str, &str) -> Result<T, Report>,
) -> Result<T, Exit> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| {
        complain(&format_args!("cannot read {name}: {error}"));
        Exit::Usage
    })?;
    parse(&name, &text).map_err(|report| {
        let _ = writeln!(io::stderr(), "{report}");
        Exit::Problems
    })
}
