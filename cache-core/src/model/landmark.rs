//! What joins the stream's order to that of its database's own log.

use super::position::Position;

/// A place in the stream beside one in the log of the database that the stream tells of:
/// every change up to the one was committed at or before the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landmark {
    /// The place in the stream.
    pub position: Position,
    /// The place of a commit in the log. For PostgreSQL its LSN.
    pub commit: u64,
    /// Whose log, and which run of it: places of two logs do not compare.
    pub log: u64,
}
