//! Logs: text for people at a terminal, JSON for machines elsewhere.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Begins to log to standard error; `filter` is in the form of `RUST_LOG`, and
/// `info` if it is absent or cannot be read.
///
/// Data belongs on standard output, so logs keep off it. A second call does
/// nothing.
pub fn start(filter: Option<&str>, terminal: bool) {
    let filter = filter.and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let text = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = if terminal {
        registry.with(text).try_init()
    } else {
        registry.with(text.json().flatten_event(true)).try_init()
    };
    // Only a second call fails, and the first one's logging is as good.
    drop(started);
}
