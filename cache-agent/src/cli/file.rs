//! The configuration file, as the commands that need one take it.

use crate::cli::say::Trouble;
use crate::config::Config;
use crate::config_file::{self, Unfit};
use cache_core::config::overrides::Override;
use cache_core::config::shown::Shown;
use cache_core::ops::exit::Exit;
use std::ffi::OsString;
use std::path::PathBuf;

/// What variables begin with that stand for keys: `CACHE_AGENT__L2__TIMEOUT`.
const PREFIX: &str = "CACHE_AGENT";

/// Where the configuration is.
#[derive(Clone, Debug, clap::Args)]
pub struct File {
    /// The configuration file; CACHE_AGENT__TABLE__KEY stands in place of a key
    #[arg(long = "config", env = "CACHE_AGENT_CONFIG", value_name = "FILE")]
    pub path: PathBuf,
}

impl File {
    /// Reads it, with what the environment says in place of it.
    ///
    /// # Errors
    /// [`Exit::Usage`] where it cannot be read, [`Exit::Problems`] with all that is wrong.
    pub fn read(&self, given: &[Override]) -> Result<(Config, Shown), Trouble> {
        config_file::read(&self.path, given).map_err(|unfit| match unfit {
            Unfit::Unread { .. } => Trouble::usage(unfit.to_string()),
            Unfit::Wrong(report) => {
                let name = self.path.display();
                Trouble::with(Exit::Problems, format!("{name} is wrong\n{report}"))
            }
        })
    }
}

/// What the environment says in place of a file.
pub fn given(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<Override> {
    let text = variables.into_iter().filter_map(|(name, value)| {
        // What is no text is no key, and no value of one.
        Some((name.into_string().ok()?, value.into_string().ok()?))
    });
    Override::named(PREFIX, text)
}
