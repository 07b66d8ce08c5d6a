//! How far a replica is in the stream, told by how far it is in its database's log.
//!
//! The stream's places are the only clock of a domain: L2, L1 and the heartbeats compare
//! nothing else. A replica knows its place in the log alone. An invalidator says now and
//! then which place of the stream stands beside which place of the log; whoever reads a
//! replica looks up the last one that the replica has passed.

use crate::model::as_of::AsOf;
use crate::model::landmark::Landmark;
use crate::model::position::Position;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// How many are remembered: at two a second, what a replica says that is further behind
/// than eight minutes is not kept at all.
const REMEMBERED: usize = 1_024;

/// The last landmarks that this process heard of.
#[derive(Debug, Default)]
pub struct Landmarks(Mutex<VecDeque<Landmark>>);

impl Landmarks {
    /// None was heard yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An invalidator said this one. In which order several say them does not matter.
    pub fn hear(&self, heard: Landmark) {
        let mut all = self.0.lock();
        match all.back().copied() {
            // One that comes late says nothing that is not known, of whatever log it is.
            Some(last) if heard.position <= last.position => return,
            // Of another log, none compares with what comes from here on.
            Some(last) if heard.log != last.log => all.clear(),
            Some(last) if heard.commit < last.commit => return,
            _ => {}
        }
        if all.len() == REMEMBERED {
            all.pop_front();
        }
        all.push_back(heard);
    }

    /// How far a value reaches that was read from a replica which had `replayed` the log up
    /// to there before the read began, while every bucket of L2 had been told of `seen`.
    /// Before every change, if no landmark is known that the replica has passed: such a value
    /// is used, and not kept.
    ///
    /// No further than `seen`: a local invalidation takes the next tick of what its bucket
    /// was told of, and would be below a value that claims to be ahead of that.
    pub fn read_at(&self, replayed: u64, seen: Position) -> AsOf {
        let all = self.0.lock();
        // Strictly: a commit stands in the log where it begins, and has been replayed when
        // the replica is past that.
        let is_passed = |one: &&Landmark| one.commit < replayed && one.position <= seen;
        let passed = all.iter().rev().find(is_passed);
        AsOf::Position(passed.map_or(Position::ZERO, |one| one.position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64, commit: u64, log: u64) -> Landmark {
        Landmark {
            position: Position::new(0, offset, 0),
            commit,
            log,
        }
    }

    fn reached(offset: u64) -> AsOf {
        AsOf::Position(Position::new(0, offset, 0))
    }

    #[test]
    fn a_replica_is_as_far_as_the_last_commit_that_it_has_passed() {
        let landmarks = Landmarks::new();
        assert_eq!(
            landmarks.read_at(u64::MAX, Position::MAX),
            reached(0),
            "none is known"
        );
        for (offset, commit) in [(3, 100), (5, 200), (6, 200), (9, 300)] {
            landmarks.hear(at(offset, commit, 1));
        }
        assert_eq!(
            landmarks.read_at(100, Position::MAX),
            reached(0),
            "it is at it, not past it"
        );
        assert_eq!(landmarks.read_at(101, Position::MAX), reached(3));
        assert_eq!(landmarks.read_at(200, Position::MAX), reached(3));
        assert_eq!(landmarks.read_at(201, Position::MAX), reached(6));
        assert_eq!(landmarks.read_at(u64::MAX, Position::MAX), reached(9));
        let told = |offset| Position::new(0, offset, 0);
        assert_eq!(landmarks.read_at(u64::MAX, told(8)), reached(6));
        assert_eq!(landmarks.read_at(u64::MAX, told(2)), reached(0));
    }

    #[test]
    fn what_goes_back_in_either_order_is_not_believed() {
        let landmarks = Landmarks::new();
        landmarks.hear(at(5, 200, 1));
        landmarks.hear(at(4, 250, 1));
        landmarks.hear(at(6, 150, 1));
        assert_eq!(landmarks.read_at(u64::MAX, Position::MAX), reached(5));
    }

    #[test]
    fn another_log_begins_anew() {
        let landmarks = Landmarks::new();
        landmarks.hear(at(5, 200, 1));
        landmarks.hear(at(7, 50, 2));
        landmarks.hear(at(6, 210, 1));
        assert_eq!(landmarks.read_at(50, Position::MAX), reached(0));
        assert_eq!(landmarks.read_at(250, Position::MAX), reached(7));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let landmarks = Landmarks::new();
        let more = REMEMBERED as u64 + 10;
        (1..=more).for_each(|n| landmarks.hear(at(n, n, 1)));
        assert_eq!(
            landmarks.read_at(11, Position::MAX),
            reached(0),
            "forgotten"
        );
        assert_eq!(landmarks.read_at(12, Position::MAX), reached(11));
        assert_eq!(landmarks.0.lock().len(), REMEMBERED);
    }
}
