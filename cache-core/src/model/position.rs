//! A place in the total order of changes of one source.

use std::fmt;

/// The bytes of a position in hexadecimal, as L2 compares it.
pub const HEX_LEN: usize = 32;

/// A place in the total order of changes of one source, compared field by field.
///
/// Never a clock, a transaction id or a per-row counter: those go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Raised when continuity cannot be proved: the stream was made anew, or the
    /// database was restored to an earlier point.
    pub epoch: u32,
    /// The change's place in its stream (or its commit log).
    pub offset: u64,
    /// Orders invalidations that have no offset of their own, within one bucket.
    pub tick: u32,
}

impl Position {
    /// Before every change.
    pub const ZERO: Self = Self::new(0, 0, 0);

    /// After every change.
    pub const MAX: Self = Self::new(u32::MAX, u64::MAX, u32::MAX);

    /// The position with these three parts.
    pub const fn new(epoch: u32, offset: u64, tick: u32) -> Self {
        Self {
            epoch,
            offset,
            tick,
        }
    }

    /// The next local position after this one, or `None` when its ticks are used
    /// up: rolling over into the offset would claim a change nobody has seen.
    pub fn next_tick(self) -> Option<Self> {
        let tick = self.tick.checked_add(1)?;
        Some(Self { tick, ..self })
    }

    /// Fixed-width lowercase hexadecimal: string order is position order. Redis
    /// compares numbers as doubles, which lose offsets beyond 2^53.
    pub fn to_hex(self) -> [u8; HEX_LEN] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let packed = self.packed();
        let mut hex = [0; HEX_LEN];
        for (at, digit) in hex.iter_mut().enumerate() {
            let nibble = (packed >> (4 * (HEX_LEN - 1 - at))) & 0xf;
            *digit = DIGITS[nibble as usize];
        }
        hex
    }

    /// Reads what [`Position::to_hex`] wrote; `None` for anything else.
    pub fn from_hex(hex: &[u8]) -> Option<Self> {
        if hex.len() != HEX_LEN {
            return None;
        }
        let mut packed: u128 = 0;
        for &digit in hex {
            let nibble = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            packed = packed << 4 | u128::from(nibble);
        }
        Some(Self::unpacked(packed))
    }

    /// All three parts in one integer of the same order.
    pub fn packed(self) -> u128 {
        u128::from(self.epoch) << 96 | u128::from(self.offset) << 32 | u128::from(self.tick)
    }

    /// Reads what [`Position::packed`] made.
    pub fn unpacked(packed: u128) -> Self {
        Self {
            epoch: (packed >> 96) as u32,
            offset: (packed >> 32) as u64,
            tick: packed as u32,
        }
    }

    /// Whether this position, named by a loader, runs impossibly far ahead of
    /// `known`: more than 2^40 changes (or bytes of log). Such a value would sit
    /// above every later invalidation.
    pub fn is_made_up(self, known: Self) -> bool {
        self.epoch != known.epoch || self.offset >> 40 > (known.offset >> 40) + 1
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.epoch, self.offset, self.tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_position() -> impl Strategy<Value = Position> {
        (any::<u32>(), any::<u64>(), any::<u32>()).prop_map(|(e, o, t)| Position::new(e, o, t))
    }

    proptest! {
        #[test]
        fn hex_keeps_the_order(a in any_position(), b in any_position()) {
            prop_assert_eq!(a.cmp(&b), a.to_hex().cmp(&b.to_hex()));
            prop_assert_eq!(Position::from_hex(&a.to_hex()), Some(a));
        }
    }

    #[test]
    fn hex_refuses_what_it_did_not_write() {
        assert_eq!(Position::from_hex(b""), None);
        assert_eq!(Position::from_hex(&[b'F'; HEX_LEN]), None);
        assert_eq!(Position::from_hex(&[b'0'; HEX_LEN + 1]), None);
    }

    #[test]
    fn ticks_end_instead_of_rolling_over() {
        assert_eq!(Position::new(1, 2, u32::MAX).next_tick(), None);
        let next = Position::new(1, 2, 3).next_tick();
        assert_eq!(next, Some(Position::new(1, 2, 4)));
    }
}
