//! Which sample is due for which look.

use super::{ANSWERED_WITHIN, Sample};
use cache_core::clock::Tick;
use cache_core::model::position::Position;
use cache_core::model::second_look::SecondLook;
use cache_core::wire::invalidation::Target;
use std::collections::VecDeque;

/// The samples, each in the queue of its next look.
///
/// All wait equally long for the same look, so a queue in the order of arrival is in
/// the order of time.
#[derive(Debug)]
pub struct Schedule {
    waiting: [VecDeque<Sample>; SecondLook::ALL.len()],
    /// Those of which all looks were taken, for what is still told of them.
    looked_at: VecDeque<Sample>,
    most: usize,
}

impl Schedule {
    /// Nothing yet, and `most` samples in all.
    pub fn new(most: usize) -> Self {
        Self {
            waiting: Default::default(),
            looked_at: VecDeque::new(),
            most,
        }
    }

    /// Adds one for its first look; false if there is no room.
    pub fn add(&mut self, sample: Sample) -> bool {
        let room = self.len() < self.most;
        if room {
            self.waiting[SecondLook::After1s.index()].push_back(sample);
        }
        room
    }

    /// Takes out what is due for a look at `now`, `most` at most.
    pub fn due(&mut self, look: SecondLook, now: Tick, most: usize) -> Vec<Sample> {
        take_older(&mut self.waiting[look.index()], now, look.after(), most)
    }

    /// Puts samples back after a look that was taken.
    pub fn taken(&mut self, look: SecondLook, samples: impl IntoIterator<Item = Sample>) {
        let next = self.waiting.get_mut(look.index() + 1);
        next.unwrap_or(&mut self.looked_at).extend(samples);
    }

    /// Forgets those of which nothing more can be told at `now`.
    pub fn forget(&mut self, now: Tick) {
        let last = SecondLook::After60s.after();
        let kept = self.looked_at.len();
        take_older(&mut self.looked_at, now, last + ANSWERED_WITHIN, kept);
    }

    /// The sample that a process tells of; nothing if another inspector asked.
    pub fn find(&self, target: &Target, position: Position) -> Option<&Sample> {
        let mut all = self.waiting.iter().chain([&self.looked_at]).flatten();
        // The position first: it tells nearly all of them apart, without following a
        // pointer.
        all.find(|sample| sample.position == position && sample.target == *target)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(VecDeque::len).sum();
        waiting + self.looked_at.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn take_older(
    queue: &mut VecDeque<Sample>,
    now: Tick,
    age: std::time::Duration,
    most: usize,
) -> Vec<Sample> {
    let old = |sample: &&Sample| now.since(sample.announced) >= age;
    let count = queue.iter().take(most).take_while(old).count();
    queue.drain(..count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::model::key::Name;
    use std::time::Duration;

    fn sample(offset: u64, announced: u64) -> Sample {
        Sample {
            target: Target::Key {
                cache: Name::new("users").unwrap(),
                key: offset.to_string().into_bytes().into(),
            },
            position: Position::new(0, offset, 0),
            announced: at(announced),
            history: Default::default(),
        }
    }

    fn at(millis: u64) -> Tick {
        Tick::at(Duration::from_millis(millis))
    }

    fn offsets(samples: &[Sample]) -> Vec<u64> {
        samples.iter().map(|one| one.position.offset).collect()
    }

    #[test]
    fn each_sample_is_due_three_times_and_then_forgotten() {
        let mut schedule = Schedule::new(9);
        assert!(schedule.add(sample(1, 100)) && schedule.add(sample(2, 300)));
        for look in SecondLook::ALL {
            let first = 100 + look.after().as_millis() as u64;
            assert!(schedule.due(look, at(first - 1), 9).is_empty());
            let due = schedule.due(look, at(first), 9);
            assert_eq!(offsets(&due), [1], "{look:?}");
            schedule.taken(look, due);
            assert!(schedule.due(look, at(first), 9).is_empty(), "only once");
            let due = schedule.due(look, at(first + 200), 9);
            assert_eq!(offsets(&due), [2], "{look:?}");
            schedule.taken(look, due);
        }
        schedule.forget(at(65_099));
        assert_eq!(schedule.len(), 2, "a process may still tell of them");
        schedule.forget(at(65_100));
        assert_eq!(schedule.len(), 1);
        schedule.forget(at(65_300));
        assert!(schedule.is_empty());
    }

    #[test]
    fn a_round_takes_so_many_and_leaves_the_rest_due() {
        let mut schedule = Schedule::new(9);
        (1..=5).for_each(|offset| assert!(schedule.add(sample(offset, 0))));
        let look = SecondLook::After1s;
        assert_eq!(offsets(&schedule.due(look, at(2_000), 2)), [1, 2]);
        assert_eq!(offsets(&schedule.due(look, at(2_000), 9)), [3, 4, 5]);
    }

    #[test]
    fn a_full_schedule_takes_no_more_until_some_are_forgotten() {
        let mut schedule = Schedule::new(2);
        assert!(schedule.add(sample(1, 0)) && schedule.add(sample(2, 0)));
        assert!(!schedule.add(sample(3, 0)));
        for look in SecondLook::ALL {
            let due = schedule.due(look, at(60_000), 9);
            schedule.taken(look, due);
        }
        assert!(!schedule.add(sample(3, 60_000)), "they wait for answers");
        schedule.forget(at(65_000));
        assert!(schedule.add(sample(3, 65_000)));
    }

    #[test]
    fn a_sample_is_found_wherever_it_waits() {
        let mut schedule = Schedule::new(9);
        let one = sample(1, 0);
        assert!(schedule.add(one.clone()));
        for look in SecondLook::ALL {
            assert!(schedule.find(&one.target, one.position).is_some());
            let due = schedule.due(look, at(60_000), 9);
            schedule.taken(look, due);
        }
        assert!(schedule.find(&one.target, one.position).is_some());
        assert!(schedule.find(&one.target, Position::new(0, 2, 0)).is_none());
        assert!(schedule.find(&sample(2, 0).target, one.position).is_none());
    }
}
