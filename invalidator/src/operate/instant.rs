//! Dates as operators write and read them: UTC, to the millisecond.

use async_nats::datetime::{DateTime, from_nanos, parse_rfc3339};
use cache_core::clock::Clock;
use cache_core::config::units::parse_duration;
use std::fmt;
use std::time::Duration;

/// A date, in milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

impl Instant {
    /// Reads a date as in `2026-03-01T12:00:00Z`, or a duration before `now`: `15m`.
    ///
    /// # Errors
    /// What to write instead, for people.
    pub fn parse(text: &str, now: Self) -> Result<Self, String> {
        if let Ok(ago) = parse_duration(text) {
            return Ok(now.before(ago));
        }
        let wrong = || {
            format!("`{text}` is neither a date like 2026-03-01T12:00:00Z nor a time ago like 15m")
        };
        let date = parse_rfc3339(text).map_err(|_| wrong())?;
        let millis = date.unix_timestamp_nanos() / 1_000_000;
        u64::try_from(millis).map(Self).map_err(|_| wrong())
    }

    /// What the clock says.
    pub fn now(clock: &dyn Clock) -> Self {
        Self(clock.wall_ms())
    }

    /// So much earlier.
    pub fn before(self, span: Duration) -> Self {
        let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(span))
    }

    /// From an earlier date to this one, in whole milliseconds.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// As NATS takes it; nothing beyond its years.
    pub fn date(self) -> Option<DateTime> {
        from_nanos(i128::from(self.0) * 1_000_000).ok()
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(date) = self.date() else {
            return write!(f, "{} ms", self.0);
        };
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            date.hour(),
            date.minute(),
            date.second(),
            date.millisecond()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant(1_772_366_400_000);

    #[test]
    fn a_date_and_a_time_ago_are_read() {
        assert_eq!(Instant::parse("2026-03-01T12:00:00Z", NOW), Ok(NOW));
        assert_eq!(Instant::parse("2026-03-01T13:00:00+01:00", NOW), Ok(NOW));
        let hour = Instant(NOW.0 - 3_600_000);
        assert_eq!(Instant::parse("1h", NOW), Ok(hour));
        assert_eq!(NOW.since(hour), Duration::from_secs(3600));
        for wrong in ["", "yesterday", "2026-03-01", "1960-01-01T00:00:00Z", "-1h"] {
            assert!(Instant::parse(wrong, NOW).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        let shown = Instant(NOW.0 + 7).to_string();
        assert_eq!(shown, "2026-03-01T12:00:00.007Z");
        assert_eq!(Instant::parse(&shown, NOW), Ok(Instant(NOW.0 + 7)));
        assert_eq!(Instant(u64::MAX).to_string(), format!("{} ms", u64::MAX));
    }
}
