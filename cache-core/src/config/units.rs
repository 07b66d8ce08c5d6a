//! Durations and sizes as people write them: `500ms`, `64MiB`.

use std::fmt;
use std::time::Duration;

/// Units of time, in milliseconds, smallest first.
const TIMES: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Units of size, in bytes, smallest first.
const SIZES: [(&str, u64); 4] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Reads a whole number and a unit of time: `500ms`, `2s`, `5m`, `1h`, `7d`.
///
/// # Errors
/// What to write instead, for people.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    parse(text, &TIMES)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is no duration; write one like 500ms, 2s, 5m, 1h or 7d"))
}

/// Reads a whole number and a unit of size: `512B`, `64KiB`, `64MiB`, `2GiB`.
///
/// # Errors
/// What to write instead, for people. `64MB` is refused rather than guessed at,
/// because half of its readers take it for 64,000,000.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    parse(text, &SIZES)
        .ok_or_else(|| format!("`{text}` is no size; write one like 512B, 64KiB, 64MiB or 2GiB"))
}

/// Shows a duration the way [`parse_duration`] reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        show(f, millis, &TIMES)
    }
}

/// Shows a size the way [`parse_bytes`] reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.0, &SIZES)
    }
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// In the largest unit that leaves a whole number.
fn show(f: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)]) -> fmt::Result {
    let whole = |(_, factor): &&(&str, u64)| amount > 0 && amount.is_multiple_of(*factor);
    let (unit, factor) = units.iter().rev().find(whole).unwrap_or(&units[0]);
    write!(f, "{}{unit}", amount / factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_are_exact() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(parse_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(parse_bytes("7B"), Ok(7));
        assert_eq!(Span(Duration::from_secs(90)).to_string(), "90s");
        assert_eq!(Span(Duration::ZERO).to_string(), "0ms");
        assert_eq!(Size(1 << 20).to_string(), "1MiB");
    }

    #[test]
    fn anything_else_is_refused() {
        let huge = "99999999999999999999s";
        for bad in [
            "", "5", "s", "-1s", "1.5s", "5 s", "1m30s", "5S", "5min", huge,
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        for bad in ["64MB", "64M", "64", "64mib", "99999999999GiB"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(amount in any::<u64>(), text in ".{0,12}") {
            let shown = Span(Duration::from_millis(amount)).to_string();
            prop_assert_eq!(parse_duration(&shown), Ok(Duration::from_millis(amount)));
            prop_assert_eq!(parse_bytes(&Size(amount).to_string()), Ok(amount));
            let _ = parse_duration(&text);
        }
    }
}
