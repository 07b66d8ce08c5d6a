//! The atomic steps of L2, as `tier::decide` takes them.

use crate::position::Pos;
use crate::rules::Rules;
use crate::state::{Bucket, Lease, Record, Seen, Value, Watermark};

/// The answer to a request for a lease.
pub(crate) enum Leased {
    /// Load.
    Granted(Pos),
    /// Another loads, or writes.
    Busy,
    /// Read again.
    Present,
    /// No watermark.
    Unknown,
}

/// What a caller knows that a bucket must have.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    /// The highest position applied in it.
    pub(crate) known: Pos,
    /// A heartbeat that every bucket was given.
    pub(crate) told: Pos,
}

impl Expected {
    /// Raises the floor of a bucket that has not what it must have: it lost writes.
    fn raise(self, wm: &mut Watermark, rules: &Rules) -> bool {
        let mut start = Pos::ZERO;
        if wm.applied < self.known {
            start = self.known;
        }
        if wm.seen < self.told && rules.beat_tells_told {
            start = start.max(self.known).max(self.told);
            wm.seen = self.told;
        }
        wm.applied = wm.applied.max(start);
        wm.floor = wm.floor.max(start);
        start > Pos::ZERO
    }
}

impl Bucket {
    /// Asks for the right to load.
    pub(crate) fn lease(&mut self, slot: usize, holder: u8, seen: Seen, rules: &Rules) -> Leased {
        let Some(wm) = self.watermark else {
            return Leased::Unknown;
        };
        let floor = match self.records[slot] {
            Record::Absent if rules.absent_has_floor => wm.applied,
            Record::Absent => Pos::ZERO,
            Record::Value(value) | Record::Expired { value, .. } if value.as_of < wm.floor => {
                value.as_of.min(wm.applied)
            }
            Record::Value(value) => match seen {
                Seen::Refused(refused) if value.as_of <= refused => value.as_of.min(wm.applied),
                Seen::Expired(expired) if value.as_of <= expired => {
                    let granted = wm.applied.max(value.as_of);
                    let lease = Lease { holder, granted };
                    self.records[slot] = Record::Expired { value, lease };
                    return Leased::Granted(granted);
                }
                _ => return Leased::Present,
            },
            Record::Expired { .. } => return Leased::Busy,
            Record::Mark { floor, lease: None } => floor,
            Record::Mark { lease: Some(_), .. } => return Leased::Busy,
            Record::Quarantine { .. } => return Leased::Busy,
        };
        let floor = floor.max(wm.floor);
        let granted = wm.applied.max(floor);
        let lease = Some(Lease { holder, granted });
        self.records[slot] = Record::Mark { floor, lease };
        Leased::Granted(granted)
    }

    /// Offers a value; the as-of it is stored with, if it is.
    pub(crate) fn fill(
        &mut self,
        slot: usize,
        holder: u8,
        offer: Value,
        position: Option<Pos>,
        rules: &Rules,
    ) -> Option<Pos> {
        let wm = self.watermark?;
        let mine = |lease: &Lease| lease.holder == holder;
        let (floor, granted) = match self.records[slot] {
            Record::Mark { floor, lease } => match lease.filter(mine) {
                Some(lease) => (floor, lease.granted),
                None if rules.fill_needs_lease => return None,
                None => (floor, offer.as_of),
            },
            Record::Expired { value, lease } if mine(&lease) => {
                let floor = if rules.expired_has_floor {
                    value.as_of
                } else {
                    Pos::ZERO
                };
                (floor, lease.granted)
            }
            _ if rules.fill_needs_lease => return None,
            // What a cache of marks alone does: no mark, no objection.
            Record::Absent => (Pos::ZERO, offer.as_of),
            Record::Value(_) | Record::Expired { .. } | Record::Quarantine { .. } => return None,
        };
        let floor = floor.max(wm.floor);
        let admitted = match position {
            None => granted >= floor,
            Some(at) => {
                let provable = !floor.is_local() || !rules.tick_refuses_replica;
                at >= floor && provable && at.epoch() == wm.applied.epoch()
            }
        };
        if !admitted && rules.fill_compares_floor {
            self.records[slot] = match self.records[slot] {
                Record::Expired { value, .. } if value.as_of >= wm.floor => Record::Value(value),
                _ => mark(floor, None),
            };
            return None;
        }
        let as_of = position.unwrap_or(granted);
        self.records[slot] = Record::Value(Value { as_of, ..offer });
        Some(as_of)
    }

    /// Applies a change; whether the bucket's floor had to be raised first.
    pub(crate) fn apply(
        &mut self,
        slot: usize,
        position: Pos,
        expected: Expected,
        rules: &Rules,
    ) -> bool {
        let raised = match &mut self.watermark {
            Some(wm) => {
                let raised = rules.apply_tells_known && expected.raise(wm, rules);
                wm.applied = wm.applied.max(position);
                raised
            }
            None => {
                self.watermark = Some(Watermark {
                    applied: position,
                    seen: Pos::ZERO,
                    floor: position,
                });
                false
            }
        };
        let applied = self.watermark.map_or(Pos::ZERO, |wm| wm.applied);
        self.records[slot] = match self.records[slot] {
            Record::Value(value) if value.as_of >= position => Record::Value(value),
            Record::Value(_) => mark(position, None),
            Record::Expired { value, lease } if value.as_of >= position => {
                Record::Expired { value, lease }
            }
            Record::Expired { lease, .. } => mark(
                position,
                Some(lease).filter(|lease| lease.granted >= position),
            ),
            Record::Mark { floor, lease } => {
                let floor = if rules.floor_only_rises {
                    position.max(floor)
                } else {
                    position
                };
                mark(floor, lease.filter(|lease| lease.granted >= position))
            }
            Record::Quarantine { floor, .. } if rules.invalidation_ends_quarantine => {
                mark(position.max(floor), None)
            }
            Record::Quarantine {
                floor,
                granted,
                writer,
            } => Record::Quarantine {
                floor: position.max(floor),
                granted,
                writer,
            },
            Record::Absent if rules.floor_only_rises => mark(applied, None),
            Record::Absent => mark(position, None),
        };
        raised
    }

    /// The position that a local change of a record gets.
    pub(crate) fn next_local(&self, slot: usize, known: Pos, rules: &Rules) -> Option<Pos> {
        let wm = self.watermark?;
        let stored = match self.records[slot] {
            Record::Absent => Pos::ZERO,
            Record::Value(value) | Record::Expired { value, .. } => value.as_of,
            Record::Mark { floor, .. } | Record::Quarantine { floor, .. } => floor,
        };
        let known = if rules.apply_tells_known {
            known
        } else {
            Pos::ZERO
        };
        Some(wm.applied.max(stored).max(known).next_tick())
    }

    /// Writes a heartbeat; whether the floor had to be raised.
    pub(crate) fn beat(&mut self, seen: Pos, expected: Expected, rules: &Rules) -> bool {
        let Some(wm) = &mut self.watermark else {
            let start = expected.known.max(seen);
            self.watermark = Some(Watermark {
                applied: start,
                seen,
                floor: start,
            });
            return true;
        };
        let mut raised = rules.beat_raises_floor && expected.raise(wm, rules);
        if rules.epoch_raises_floor && seen.epoch() > wm.applied.epoch() {
            let start = Pos::at(seen.epoch(), 0);
            (wm.applied, wm.floor) = (start, start);
            raised = true;
        }
        wm.seen = wm.seen.max(seen);
        raised
    }

    /// A tag's floor, and makes sure that the tag has one.
    pub(crate) fn tag_floor(&mut self, slot: usize, rules: &Rules) -> Option<Pos> {
        let wm = self.watermark?;
        let floor = match self.records[slot] {
            Record::Mark { floor, .. } => floor,
            _ if !rules.absent_tag_has_floor => Pos::ZERO,
            _ => {
                self.records[slot] = mark(wm.applied, None);
                wm.applied
            }
        };
        Some(floor.max(wm.floor))
    }
}

fn mark(floor: Pos, lease: Option<Lease>) -> Record {
    Record::Mark { floor, lease }
}
