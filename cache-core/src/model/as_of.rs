//! Up to which change a loaded value surely contains every commit.

use super::position::Position;

/// Where a loader read its value, and so how far the value is sure to reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AsOf {
    /// From the primary, in a read that began after the lease was granted. The
    /// value then holds every change that L2 knew of at that moment.
    #[default]
    Leased,
    /// From a replica whose replay position, read before the query, is this.
    Position(Position),
    /// Nobody knows. Kept for a short time only, and an absence not at all: the
    /// one weaker class, for sources that can say nothing.
    Unknown,
}
