//! Where the capture goes on, and when nobody can say what was missed.

use crate::capture::place::{Lsn, Origin, Place};

/// How far the stream and the database are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The last event that the stream has from a capture, and whose log it is from.
    pub stored: Option<(Place, Origin)>,
    /// Whose log is being read.
    pub origin: Origin,
    /// Up to where the database may have forgotten its log: it sends nothing that was
    /// committed before.
    pub confirmed: u64,
    /// The end of the database's log.
    pub end: u64,
    /// Whether the slot was made just now.
    pub is_new: bool,
}

/// Where the capture goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Behind this place.
    After(Place),
    /// Changes may be missing before this place; why.
    Lost(Place, String),
}

impl Found {
    /// Where the capture goes on. A place is only ever confirmed after the stream had
    /// it: so a database that has forgotten more than the stream has, or another one,
    /// means that changes are missing.
    pub fn resume(&self) -> Resume {
        // Index 0: the transaction that was committed exactly there is still to come.
        let start = Place {
            lsn: self.confirmed,
            index: 0,
        };
        let lost = |why: String| Resume::Lost(start, why);
        let Some((place, origin)) = &self.stored else {
            return lost("the stream has no event of a capture".to_owned());
        };
        if self.is_new {
            return lost("the replication slot was made anew".to_owned());
        }
        if *origin != self.origin {
            let own = &self.origin;
            return lost(format!(
                "the log is that of {own} (system/timeline), and was that of {origin}"
            ));
        }
        if place.lsn > self.end {
            let end = Lsn(self.end);
            return lost(format!("the log ends at {end}, before the place {place}"));
        }
        if place.lsn < self.confirmed {
            let confirmed = Lsn(self.confirmed);
            return lost(format!(
                "the slot goes on at {confirmed}, but the stream ends at {place}"
            ));
        }
        Resume::After(*place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(timeline: u32) -> Origin {
        let system = "7123".to_owned();
        Origin { system, timeline }
    }

    fn found(stored: u64, confirmed: u64, end: u64) -> Found {
        let place = Place {
            lsn: stored,
            index: 3,
        };
        Found {
            stored: Some((place, origin(1))),
            origin: origin(1),
            confirmed,
            end,
            is_new: false,
        }
    }

    fn why(found: &Found) -> String {
        match found.resume() {
            Resume::Lost(place, why) => {
                assert_eq!((place.lsn, place.index), (found.confirmed, 0));
                why
            }
            after => panic!("{after:?}"),
        }
    }

    #[test]
    fn it_goes_on_behind_the_last_event_that_the_stream_has() {
        for (stored, confirmed, end) in [(50, 40, 60), (50, 50, 50), (50, 0, 60)] {
            let place = Place {
                lsn: stored,
                index: 3,
            };
            let resume = found(stored, confirmed, end).resume();
            assert_eq!(resume, Resume::After(place));
        }
    }

    #[test]
    fn whatever_may_have_lost_changes_is_told() {
        let first = Found {
            stored: None,
            ..found(0, 40, 60)
        };
        assert!(why(&first).contains("no event"));
        let new = Found {
            is_new: true,
            ..found(50, 40, 60)
        };
        assert!(why(&new).contains("made anew"));
        let promoted = Found {
            origin: origin(2),
            ..found(50, 40, 60)
        };
        assert!(why(&promoted).contains("7123/2 (system/timeline)"));
        assert!(why(&found(70, 40, 60)).contains("the log ends at 0/3C"));
        assert!(why(&found(30, 40, 60)).contains("the slot goes on at 0/28"));
    }
}
