//! What the commands share: how they read files, speak and complain.

use cache_core::Error;
use cache_core::config::report::Report;
use cache_core::ops::exit::Exit;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

/// Says what went wrong.
pub fn complain(error: &dyn Display) {
    // Nobody may be reading; that is no reason to panic.
    let _ = writeln!(io::stderr(), "invalidator: {error}");
}

/// How a command ends, and why if that is an error.
pub fn ended_with(ended: Result<(), Error>) -> Exit {
    match ended {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&error);
            Exit::from(&error)
        }
    }
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
