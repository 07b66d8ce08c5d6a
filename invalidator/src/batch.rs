//! Many events' invalidations as one announcement: each target once, at the highest
//! of its positions.

use cache_core::coherence::announce::{ANNOUNCE_MAX, Change};
use cache_core::model::key::Key;
use cache_core::model::position::Position;
use cache_core::wire::invalidation::Target;
use std::collections::HashMap;

/// A batch being gathered. It is as large as the events in it: whoever gathers
/// limits their number.
#[derive(Debug, Default)]
pub struct Batch {
    places: HashMap<(Target, bool), usize>,
    merged: Vec<Merged>,
}

#[derive(Debug)]
struct Merged {
    target: Target,
    position: Option<Position>,
    changed_ms: Option<u64>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one invalidation and returns its place in the batch, which it shares
    /// with the others of its target.
    ///
    /// The highest position wins, because it covers the lower ones; the earliest
    /// date wins, because lag counts from the first change that is still waiting. One
    /// without a position is another: it comes after what its bucket has seen, which may
    /// be less than a position of the others.
    pub fn add(
        &mut self,
        target: &Target,
        position: impl Into<Option<Position>>,
        changed_ms: Option<u64>,
    ) -> usize {
        let position = position.into();
        let key = (target.clone(), position.is_some());
        if let Some(&place) = self.places.get(&key) {
            let merged = &mut self.merged[place];
            merged.position = merged.position.max(position);
            merged.changed_ms = match (merged.changed_ms, changed_ms) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            return place;
        }
        let place = self.merged.len();
        self.places.insert(key, place);
        self.merged.push(Merged {
            target: target.clone(),
            position,
            changed_ms,
        });
        place
    }

    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.merged.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.merged.is_empty()
    }

    /// The announcements to make, in the order of the places.
    pub fn announcements(&self) -> impl Iterator<Item = Vec<Change>> {
        self.merged
            .chunks(ANNOUNCE_MAX)
            .map(|part| part.iter().map(Merged::change).collect())
    }
}

impl Merged {
    fn change(&self) -> Change {
        let position = self.position;
        let change = match &self.target {
            Target::Key { cache, key } => {
                let key = Key::new(key).expect("targets are made of checked keys");
                Change::key(cache, key, position)
            }
            Target::Tag { cache, tag } => Change::tag(cache, tag.clone(), position),
            Target::Bucket(_) => unreachable!("no event names a bucket"),
        };
        change.dated(self.changed_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::model::key::Name;

    fn key(text: &str) -> Target {
        Target::Key {
            cache: Name::new("users").unwrap(),
            key: text.as_bytes().into(),
        }
    }

    fn at(offset: u64) -> Position {
        Position::new(0, offset, 0)
    }

    #[test]
    fn a_target_is_announced_once_at_its_highest_position() {
        let mut batch = Batch::new();
        assert_eq!(batch.add(&key("a"), at(5), Some(50)), 0);
        assert_eq!(batch.add(&key("b"), at(6), None), 1);
        assert_eq!(
            batch.add(&key("a"), at(3), Some(30)),
            0,
            "an older one, redelivered"
        );
        assert_eq!(batch.add(&key("b"), at(7), Some(70)), 1);
        let announcements: Vec<_> = batch.announcements().collect();
        let users = Name::new("users").unwrap();
        let expected = |text: &str, offset, date| {
            let key = Key::new(text.as_bytes()).unwrap();
            Change::key(&users, key, Some(at(offset))).dated(Some(date))
        };
        assert_eq!(
            announcements,
            [vec![expected("a", 5, 30), expected("b", 7, 70)]]
        );
    }

    #[test]
    fn an_announcement_keeps_its_limit() {
        let mut batch = Batch::new();
        for n in 0..ANNOUNCE_MAX + 1 {
            batch.add(&key(&n.to_string()), at(1), None);
        }
        let sizes: Vec<_> = batch.announcements().map(|part| part.len()).collect();
        assert_eq!(sizes, [ANNOUNCE_MAX, 1]);
    }
}
