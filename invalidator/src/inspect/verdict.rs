//! What a reading of L2 says about an invalidation that was announced.

use cache_core::event::Found;
use cache_core::model::position::Position;
use cache_core::tier::{Reading, Record, RemoteError, Watermark};
use std::fmt;

/// What L2 says about an announced invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing older is in L2, and nothing older would be taken in.
    Held,
    /// An older value is there, or one would be taken in.
    Violated(Sight),
    /// L2 did not answer.
    Unknown,
}

/// What was seen of a key or a tag, without the value's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Its record.
    pub record: Seen,
    /// Its bucket's watermark.
    pub watermark: Option<Watermark>,
}

/// What was seen of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A value with this as-of.
    Value(Position),
    /// A mark with this floor.
    Mark(Position),
    /// Nothing, or nothing that can be read.
    Nothing,
}

/// Judges what was read of a key or a tag that was announced at `position`.
///
/// A later announcement only raises what is looked at, so whoever was overtaken by
/// one holds as well.
pub fn judge(reading: &Result<Reading, RemoteError>, position: Position) -> Verdict {
    let Ok(reading) = reading else {
        return Verdict::Unknown;
    };
    let sight = Sight::of(reading);
    let lowest = match (sight.record, sight.watermark) {
        (Seen::Value(at) | Seen::Mark(at), _) => at,
        // Absence is never permission: the floor is then what the bucket has applied.
        (Seen::Nothing, Some(watermark)) => watermark.applied,
        (Seen::Nothing, None) => Position::ZERO,
    };
    let refused_below = sight.watermark.map_or(Position::ZERO, |held| held.floor);
    if lowest.max(refused_below) >= position {
        Verdict::Held
    } else {
        Verdict::Violated(sight)
    }
}

impl Verdict {
    /// The word for it.
    pub fn found(&self) -> Found {
        match self {
            Self::Held => Found::Held,
            Self::Violated(_) => Found::Violated,
            Self::Unknown => Found::Unknown,
        }
    }
}

impl Sight {
    fn of(reading: &Reading) -> Self {
        Self {
            record: match &reading.record {
                Some(Record::Value { as_of, .. }) => Seen::Value(*as_of),
                Some(Record::Mark { floor }) => Seen::Mark(*floor),
                None => Seen::Nothing,
            },
            watermark: reading.watermark,
        }
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record {
            Seen::Value(as_of) => write!(f, "a value as of {as_of}")?,
            Seen::Mark(floor) => write!(f, "a mark with floor {floor}")?,
            Seen::Nothing => f.write_str("nothing")?,
        }
        match self.watermark {
            Some(Watermark {
                applied,
                seen,
                floor,
            }) => write!(
                f,
                ", in a bucket that has applied {applied}, seen {seen} and refuses below {floor}"
            ),
            None => f.write_str(", in a bucket without a watermark"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Position {
        Position::new(0, offset, 0)
    }

    fn value(as_of: Position) -> Option<Record> {
        let body = Default::default();
        Some(Record::Value { as_of, body })
    }

    fn mark(floor: Position) -> Option<Record> {
        Some(Record::Mark { floor })
    }

    /// Whether it holds, with a bucket that has applied and refuses so far.
    fn holds(record: Option<Record>, applied: u64, floor: u64, position: Position) -> bool {
        let watermark = Some(Watermark {
            applied: at(applied),
            seen: at(99),
            floor: at(floor),
        });
        let reading = Reading {
            record,
            watermark,
            garbage: false,
            leased: false,
        };
        let verdict = judge(&Ok(reading), position);
        assert_ne!(verdict, Verdict::Unknown);
        verdict == Verdict::Held
    }

    #[test]
    fn a_record_holds_at_or_above_the_position() {
        for record in [value, mark] {
            assert!(holds(record(at(5)), 5, 0, at(5)));
            assert!(
                holds(record(at(9)), 9, 0, at(5)),
                "overtaken by a later one"
            );
            assert!(!holds(record(at(4)), 9, 0, at(5)), "whatever was applied");
        }
    }

    #[test]
    fn the_floor_of_the_bucket_refuses_what_is_older() {
        for record in [value(at(4)), mark(at(4)), None] {
            assert!(holds(record.clone(), 4, 5, at(5)), "{record:?}");
            assert!(!holds(record, 4, 4, at(5)));
        }
    }

    #[test]
    fn an_absent_record_is_as_good_as_its_watermark() {
        assert!(holds(None, 5, 0, at(5)));
        assert!(!holds(None, 4, 0, at(5)), "an old fill would be taken");
        let nothing = judge(&Ok(Reading::default()), at(5));
        let sight = Sight {
            record: Seen::Nothing,
            watermark: None,
        };
        assert_eq!(nothing, Verdict::Violated(sight), "L2 forgot everything");
    }

    #[test]
    fn positions_are_compared_epoch_first_and_tick_last() {
        let position = Position::new(1, 5, 0);
        assert!(!holds(value(Position::new(0, 99, 9)), 0, 0, position));
        assert!(!holds(value(Position::new(1, 4, u32::MAX)), 0, 0, position));
        assert!(holds(mark(Position::new(1, 5, 3)), 0, 0, position), "local");
        assert!(holds(mark(Position::new(2, 0, 0)), 0, 0, position));
    }

    #[test]
    fn an_l2_that_does_not_answer_says_nothing() {
        let verdict = judge(&Err(RemoteError::Timeout), at(5));
        assert_eq!(verdict, Verdict::Unknown);
    }

    #[test]
    fn what_was_seen_is_told_whole() {
        let reading = Reading {
            record: value(at(4)),
            watermark: Some(Watermark {
                applied: at(9),
                seen: at(8),
                floor: at(1),
            }),
            garbage: false,
            leased: false,
        };
        let told = Sight::of(&reading).to_string();
        let expected = "a value as of 0.4.0, in a bucket that has applied 0.9.0, seen 0.8.0 \
             and refuses below 0.1.0";
        assert_eq!(told, expected);
    }
}
