//! The configuration as it lies on the disk.

use crate::config::{self, Config};
use cache_core::config::overrides::Override;
use cache_core::config::report::Report;
use cache_core::config::shown::Shown;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// It cannot be read.
    #[error("cannot read {}: {cause}", .path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// All that is wrong with it.
    #[error("{0}")]
    Wrong(Report),
}

/// Reads a file, with what is `given` in place of its keys, and every key as it is in effect.
///
/// # Errors
/// Why it is of no use.
pub fn read(path: &Path, given: &[Override]) -> Result<(Config, Shown), Unfit> {
    let text = fs::read_to_string(path).map_err(|cause| Unfit::Unread {
        path: path.to_owned(),
        cause,
    })?;
    config::show(&path.display().to_string(), &text, given).map_err(Unfit::Wrong)
}
