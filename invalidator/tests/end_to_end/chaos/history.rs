//! What was committed, and what every read must therefore hold.
//!
//! Each commit writes a number that no commit wrote before, so an answer names the
//! commit it is of. A read is judged by the first commit that it misses:
//!
//! | | a violation, if the first missing commit |
//! | --- | --- |
//! | B | was in the stream for longer than the bound when the read began |
//! | as-of | lies at or below the as-of that the answer itself claims |
//! | I2/I4 | lies at or below an invalidation of its key that the process was done with |
//! | I3 | (an answer of L2) lies at or below a heartbeat that the process had heard |
//! | I5 | lies at or below the position that the reader asked for |
//! | made up | - the answer is of no commit at all |

use cache_core::event::Tier;
use cache_core::model::position::Position;
use std::collections::HashMap;

/// After this long, an event belongs to an epoch that was raised meanwhile, or it is
/// refused with everything before.
const EPOCH_US: u64 = 10_000_000;

/// One commit of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Commit {
    pub(crate) version: u64,
    pub(crate) at_us: u64,
    /// Its event's place, and when the stream had it.
    pub(crate) stored: Option<(Position, u64)>,
}

/// A read, as the reader saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) row: usize,
    pub(crate) version: u64,
    pub(crate) began_us: u64,
    pub(crate) tier: Tier,
    /// What the answer claims, where the caller can know.
    pub(crate) as_of: Position,
    /// What the process was done with when the read began.
    pub(crate) invalidated: Position,
    pub(crate) beaten: Position,
    /// What the reader asked for.
    pub(crate) at_least: Position,
}

/// What a read came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sentence {
    /// How long the first missing commit had been in the stream.
    pub(crate) behind_us: Option<u64>,
    /// What was broken.
    pub(crate) broken: Vec<(&'static str, String)>,
}

/// Every commit of every row.
#[derive(Debug)]
pub(crate) struct History {
    rows: Vec<Vec<Commit>>,
    /// Where each version lies: a restored one counts from its last place.
    places: HashMap<u64, (usize, usize)>,
    /// Events that the stream had before the writer said that it had committed.
    early: HashMap<u64, (Position, u64)>,
}

impl History {
    /// Rows that all begin at a version of 1, since always.
    pub(crate) fn new(rows: usize) -> Self {
        let first = Commit {
            version: 1,
            at_us: 0,
            stored: Some((Position::ZERO, 0)),
        };
        Self {
            rows: vec![vec![first]; rows],
            places: HashMap::new(),
            early: HashMap::new(),
        }
    }

    pub(crate) fn committed(&mut self, row: usize, version: u64, at_us: u64) {
        let commits = &mut self.rows[row];
        commits.push(Commit {
            version,
            at_us,
            stored: self.early.remove(&version),
        });
        self.places.insert(version, (row, commits.len() - 1));
    }

    /// The stream has the event of a commit; returns when that was made, if it is
    /// known already.
    pub(crate) fn stored(&mut self, version: u64, at: Position, at_us: u64) -> Option<u64> {
        let Some((row, place)) = self.places.get(&version) else {
            self.early.insert(version, (at, at_us));
            return None;
        };
        let commit = &mut self.rows[*row][*place];
        commit.stored.get_or_insert((at, at_us));
        Some(commit.at_us)
    }

    /// The row that a version is of.
    pub(crate) fn row_of(&self, version: u64) -> Option<usize> {
        self.places.get(&version).map(|(row, _)| *row)
    }

    /// Whether every commit's event is in the stream.
    pub(crate) fn all_stored(&self) -> bool {
        let newest = self.rows.iter().filter_map(|commits| commits.last());
        newest.into_iter().all(|commit| commit.stored.is_some())
    }

    /// Whether a version is some commit's.
    pub(crate) fn knows(&self, version: u64) -> bool {
        version == 1 || self.places.contains_key(&version)
    }

    /// The newest version of a row.
    pub(crate) fn newest(&self, row: usize) -> Commit {
        *self.rows[row].last().expect("every row begins with one")
    }

    /// The newest version of a row that was committed before `at_us`.
    pub(crate) fn version_at(&self, row: usize, at_us: u64) -> u64 {
        let commits = self.rows[row].iter().rev();
        let mut before = commits.filter(|commit| commit.at_us <= at_us);
        before.next().map_or(1, |commit| commit.version)
    }

    /// Judges a read, if every commit before it began is known here.
    pub(crate) fn judge(&self, read: &Read, bound_us: u64) -> Sentence {
        let commits = &self.rows[read.row];
        let place = match self.places.get(&read.version) {
            Some((row, place)) if *row == read.row => Some(*place),
            _ => (read.version == 1).then_some(0),
        };
        let Some(place) = place else {
            let broken = vec![("made up", format!("{read:?}"))];
            return Sentence {
                behind_us: None,
                broken,
            };
        };
        let Some(missing) = commits.get(place + 1) else {
            return Sentence::default();
        };
        let mut sentence = Sentence::default();
        let mut broken = |name| {
            sentence
                .broken
                .push((name, format!("{read:?} misses {missing:?}")))
        };
        if let Some((at, stored_us)) = missing.stored
            && read.tier != Tier::None
        {
            // An epoch that was raised without a word begins at no known event.
            let settled = stored_us + EPOCH_US < read.began_us;
            let precedes = |demanded: Position| {
                let comparable = at.epoch == demanded.epoch || settled;
                comparable && at <= demanded
            };
            let demands = [
                ("as-of", read.as_of),
                ("I2/I4", read.invalidated),
                ("I5", read.at_least),
            ];
            demands
                .into_iter()
                .filter(|(_, demanded)| precedes(*demanded))
                .for_each(|(name, _)| broken(name));
            if read.tier == Tier::L2 && precedes(read.beaten) {
                broken("I3");
            }
        }
        let due_us = missing.stored.map(|(_, at_us)| at_us.max(missing.at_us));
        if let Some(due_us) = due_us.filter(|due_us| *due_us < read.began_us) {
            let behind_us = read.began_us - due_us;
            if behind_us > bound_us {
                broken("B");
            }
            sentence.behind_us = Some(behind_us);
        }
        sentence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Position {
        Position::new(0, offset, 0)
    }

    /// Row 0: version 7 committed at 100 us, in the stream as event 3 at 110 us.
    fn history() -> History {
        let mut history = History::new(2);
        history.committed(0, 7, 100);
        assert_eq!(history.stored(7, at(3), 110), Some(100));
        history
    }

    fn read(version: u64, began_us: u64) -> Read {
        Read {
            row: 0,
            version,
            began_us,
            tier: Tier::L2,
            as_of: at(2),
            invalidated: at(2),
            beaten: at(2),
            at_least: at(0),
        }
    }

    fn names(read: Read) -> Vec<&'static str> {
        let sentence = history().judge(&read, 50);
        sentence.broken.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_read_of_the_newest_is_right_and_an_old_one_only_within_the_bound() {
        assert_eq!(history().judge(&read(7, 900), 50), Sentence::default());
        assert_eq!(history().judge(&read(1, 105), 50), Sentence::default());
        let behind = history().judge(&read(1, 150), 50);
        assert_eq!((behind.behind_us, behind.broken.len()), (Some(40), 0));
        assert_eq!(names(read(1, 161)), ["B"]);
    }

    #[test]
    fn what_the_process_knew_counts_at_once() {
        let read = read(1, 120);
        assert_eq!(
            names(Read {
                as_of: at(3),
                ..read
            }),
            ["as-of"]
        );
        assert_eq!(
            names(Read {
                invalidated: at(3),
                ..read
            }),
            ["I2/I4"]
        );
        assert_eq!(
            names(Read {
                at_least: at(9),
                ..read
            }),
            ["I5"]
        );
        let heard = Read {
            beaten: at(3),
            ..read
        };
        assert_eq!(names(heard), ["I3"]);
        assert!(
            names(Read {
                tier: Tier::L1,
                ..heard
            })
            .is_empty(),
            "I3 is about L2"
        );
        let loaded = Read {
            at_least: at(9),
            tier: Tier::None,
            ..read
        };
        assert!(names(loaded).is_empty(), "the source answers for itself");
    }

    #[test]
    fn a_version_of_nobody_is_made_up() {
        assert_eq!(names(read(8, 120)), ["made up"]);
        let other_row = Read {
            row: 1,
            ..read(7, 120)
        };
        assert_eq!(names(other_row), ["made up"]);
    }

    #[test]
    fn after_a_restore_the_old_version_is_the_newest() {
        let mut history = history();
        history.committed(0, 1, 500);
        history.stored(1, Position::new(1, 0, 0), 510);
        assert_eq!(history.judge(&read(1, 900), 50), Sentence::default());
        let lost = history.judge(&read(7, 900), 50);
        assert_eq!(lost.broken[0].0, "B");
        assert_eq!(history.version_at(0, 300), 7);
    }
}
