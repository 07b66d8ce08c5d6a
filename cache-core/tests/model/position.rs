//! A position in one byte: two bits of epoch, four of offset, two of tick. The
//! order of the bytes is the order of the positions.

use std::fmt;

/// A place in the order of changes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pos(u8);

impl Pos {
    /// Before every change.
    pub(crate) const ZERO: Self = Self(0);

    /// The position of the change with this number in its stream.
    pub(crate) fn at(epoch: u8, offset: u8) -> Self {
        debug_assert!(epoch < 4 && offset < 16);
        Self(epoch << 6 | offset << 2)
    }

    /// The next local position.
    pub(crate) fn next_tick(self) -> Self {
        debug_assert!(
            self.0 & 3 < 3,
            "more local changes than two bits can tell apart"
        );
        Self(self.0 + 1)
    }

    /// Whether a local invalidation made it.
    pub(crate) fn is_local(self) -> bool {
        self.0 & 3 != 0
    }

    /// Its epoch.
    pub(crate) fn epoch(self) -> u8 {
        self.0 >> 6
    }

    /// Its offset.
    pub(crate) fn offset(self) -> u8 {
        self.0 >> 2 & 15
    }
}

impl fmt::Debug for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch() > 0 {
            write!(f, "{}.", self.epoch())?;
        }
        write!(f, "{}", self.offset())?;
        if self.is_local() {
            write!(f, "+{}", self.0 & 3)?;
        }
        Ok(())
    }
}
