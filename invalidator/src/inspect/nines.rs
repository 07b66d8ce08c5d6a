//! The share of looks that held, as nines.

/// All looks so far, and how many of them were violated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Looks that L2 answered.
    pub checked: u64,
    /// Those in which L2 held or would have taken something too old, and one more for
    /// each violation that a process told of its L1.
    pub violated: u64,
}

/// With no violation in N looks, the share of violations is below 3 / N (with 95 %
/// certainty): (1 - 3/N)^N is 5 %.
const NONE_MEANS_AT_MOST: u64 = 3;

impl Tally {
    /// `-log10(max(violated, 3) / checked)`: 3.0 says that 99.9 % of the looks held.
    ///
    /// While fewer than three were violated, 3 / checked stands in, the bound for
    /// none: no finite number of looks shows more, and a first violation must not
    /// look like an improvement. Not below 0.
    pub fn nines(&self) -> f64 {
        let violated = self.violated.max(NONE_MEANS_AT_MOST) as f64;
        (self.checked.max(1) as f64 / violated).log10().max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nines(violated: u64, checked: u64) -> f64 {
        let tally = Tally { checked, violated };
        (tally.nines() * 1e3).round() / 1e3
    }

    #[test]
    fn nines_count_what_held_and_claim_no_more_than_was_looked_at() {
        assert_eq!(nines(0, 0), 0.0, "nothing was shown");
        assert_eq!(nines(0, 3_000), 3.0);
        assert_eq!(nines(0, 3_000_000), 6.0);
        assert_eq!(nines(1, 3_000), 3.0, "no better than none");
        assert_eq!(nines(10, 10_000), 3.0);
        assert_eq!(nines(10, 10), 0.0);
        assert_eq!(nines(20, 10), 0.0, "many L1s told of one look");
    }
}
