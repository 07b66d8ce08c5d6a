//! The demo: a database that changes under the cache, two processes' worth of
//! readers, and a checker that looks for a stale read.

pub mod database;
pub mod members;
pub mod traffic;

use std::time::Duration;

/// The cache that the demo reads through.
pub const CACHE: &str = "users";
/// Rows in the database.
pub const ROWS: usize = 2_000;
/// How long after its commit a change may be missed by a read: far above the way
/// over L2 and the bus, far below any time to live. A read that misses an older
/// change is stale.
pub const BOUND: Duration = Duration::from_millis(250);

/// The key of a row.
pub fn key(row: usize) -> String {
    format!("user:{row}")
}
