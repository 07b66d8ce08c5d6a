//! How much time a call has: its own `grpc-timeout`, or the agent's default.

use std::time::Duration;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;

/// What is kept back for the way of the answer. A caller that waits for another's
/// load then gets a miss with a time to ask again, not an exceeded deadline.
pub const MARGIN: Duration = Duration::from_millis(20);
/// The longest deadline that is honoured; a longer one is cut. An hour is longer
/// than any caller of a cache waits, and keeps the sums far from overflow.
const LONGEST: Duration = Duration::from_secs(3600);

/// When a call has to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    answer_by: Instant,
}

impl Deadline {
    /// The deadline of a call that has just arrived with this metadata.
    pub fn of(metadata: &MetadataMap, default: Duration) -> Self {
        let asked = metadata
            .get("grpc-timeout")
            .and_then(|value| value.to_str().ok());
        Self::within(asked.and_then(parse).unwrap_or(default))
    }

    /// The deadline of a call that has so much time from now on.
    pub fn within(span: Duration) -> Self {
        Self {
            answer_by: Instant::now() + span.min(LONGEST).saturating_sub(MARGIN),
        }
    }

    /// When the answer has to be ready.
    pub fn answer_by(self) -> Instant {
        self.answer_by
    }

    /// How much of it is left.
    pub fn left(self) -> Duration {
        self.answer_by.saturating_duration_since(Instant::now())
    }
}

/// Reads gRPC's form: up to eight digits and a unit. Anything else counts as
/// absent, as the protocol's own server libraries do it.
fn parse(text: &str) -> Option<Duration> {
    let digits = text
        .len()
        .checked_sub(1)
        .filter(|digits| (1..=8).contains(digits))?;
    if !text.is_char_boundary(digits) {
        return None;
    }
    let (number, unit) = text.split_at(digits);
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(
            parse("99999999H"),
            Some(Duration::from_secs(99_999_999 * 3600))
        );
        for bad in ["", "m", "5", "123456789S", "-1S", "+1S", "5x", "5é"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_default_counts_when_the_caller_names_none() {
        let mut metadata = MetadataMap::new();
        let default = Duration::from_secs(1);
        assert_eq!(Deadline::of(&metadata, default).left(), default - MARGIN);
        metadata.insert("grpc-timeout", "50m".parse().unwrap());
        assert_eq!(
            Deadline::of(&metadata, default).left(),
            Duration::from_millis(30)
        );
        metadata.insert("grpc-timeout", "1m".parse().unwrap());
        assert_eq!(Deadline::of(&metadata, default).left(), Duration::ZERO);
    }
}
