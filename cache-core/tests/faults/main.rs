//! Real servers that die, hang and come back while processes read. One after the
//! other, because the bounds are times.

mod bus;
mod fleet;
mod l2;

/// Held by each test while it runs.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
