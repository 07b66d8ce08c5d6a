//! Logs: text for people at a terminal, JSON for machines elsewhere.

use std::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{Handle, Layer};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

/// What is logged if nobody says it.
pub const USUAL: &str = "info";

/// What to log, in the form of `RUST_LOG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

/// A log that has begun, whose filter may be changed.
#[derive(Clone)]
pub struct Log {
    filter: Handle<EnvFilter, Registry>,
    /// Whether somebody asked for the filter that it began with.
    is_asked: bool,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        match EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!(
                "`{text}` is no filter ({error}); write one like `info,cache_core=debug`"
            )),
        }
    }
}

impl Log {
    /// Logs by this filter from here on; unless one was asked for at the start, which goes
    /// on to be meant.
    pub fn set(&self, filter: &Filter) {
        if self.is_asked {
            return;
        }
        // It was read once already; and a log that is gone needs none.
        if let Ok(filter) = EnvFilter::try_new(&filter.0) {
            let _ = self.filter.reload(filter);
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

/// Begins to log to standard error; `filter` is in the form of `RUST_LOG`, and
/// `info` if it is absent or cannot be read.
///
/// Data belongs on standard output, so logs keep off it. A second call does
/// nothing.
pub fn start(filter: Option<&str>, terminal: bool) -> Log {
    let asked = filter.and_then(|text| EnvFilter::try_new(text).ok());
    let is_asked = asked.is_some();
    let (layer, filter) = Layer::new(asked.unwrap_or_else(|| EnvFilter::new(USUAL)));
    let registry = tracing_subscriber::registry().with(layer);
    let text = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = if terminal {
        registry.with(text).try_init()
    } else {
        registry.with(text.json().flatten_event(true)).try_init()
    };
    // Only a second call fails, and the first one's logging is as good.
    drop(started);
    Log { filter, is_asked }
}
