//! Which transactions a fresh snapshot of the primary sees.
//!
//! The log tells of a commit before its rows are visible: a transaction that waits for a
//! synchronous standby has been decoded while every reader still finds the old row. A
//! cache that heard of it then would load the old row again, and of no further event.

/// What one snapshot sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// All transactions below have ended.
    xmin: u64,
    /// No transaction from here on has.
    xmax: u64,
    /// Those between that have not ended either, in their order.
    running: Vec<u64>,
}

impl Snapshot {
    /// Reads the text of a `pg_snapshot`, as `10:20:10,14,15`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let xmin = parts.next()?.parse().ok()?;
        let xmax = parts.next()?.parse().ok()?;
        let running = parts.next()?.split(',').filter(|one| !one.is_empty());
        let running: Option<Vec<u64>> = running.map(|one| one.parse().ok()).collect();
        let mut running = running?;
        running.sort_unstable();
        parts.next().is_none().then_some(Self {
            xmin,
            xmax,
            running,
        })
    }

    /// Whether it sees a transaction that has committed. The log names it by the lower
    /// half of its number, and whatever it tells of is near.
    pub fn sees(&self, xid: u32) -> bool {
        let ahead = xid.wrapping_sub(self.xmax as u32) as i32;
        let xid = self.xmax.saturating_add_signed(i64::from(ahead));
        xid < self.xmin || xid < self.xmax && self.running.binary_search(&xid).is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_and_what_comes_later_is_not_seen() {
        let snapshot = Snapshot::parse("10:20:15,10,14").expect("a snapshot");
        let seen: Vec<_> = (8..24).filter(|xid| snapshot.sees(*xid)).collect();
        assert_eq!(seen, [8, 9, 11, 12, 13, 16, 17, 18, 19]);
        assert_eq!(Snapshot::parse("7:7:").map(|it| it.sees(6)), Some(true));
    }

    #[test]
    fn numbers_that_wrap_around_are_told_apart() {
        // The second age of numbers has just begun.
        let xmax = (1_u64 << 32) + 5;
        let snapshot = Snapshot::parse(&format!("{}:{xmax}:", xmax - 2));
        let snapshot = snapshot.expect("a snapshot");
        assert!(snapshot.sees(u32::MAX), "the age before");
        assert!(snapshot.sees(4));
        assert!(!snapshot.sees(5));
        assert!(!snapshot.sees(9));
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        for text in ["", "1", "1:2", "1:2:3:4", "1:2:x", "a:2:", "1:-2:"] {
            assert_eq!(Snapshot::parse(text), None, "{text}");
        }
    }
}
