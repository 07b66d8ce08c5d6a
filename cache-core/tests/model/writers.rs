//! The database and those who write to it.

use crate::bounds::How;
use crate::position::Pos;
use crate::sights::Sight;
use crate::state::{Record, Stage, State, Value};
use crate::system::{Action, System};

impl System {
    /// A step of the database or of a writer before its commit.
    pub(crate) fn write(&self, state: &mut State, action: Action) {
        match action {
            Action::Commit => {
                let change = usize::from(state.db.logged);
                state.stages[change] = Stage::Waiting;
                state.db.logged += 1;
                if !self.bounds.hidden_commits {
                    state.db.visible = state.db.logged;
                }
            }
            Action::Show => state.db.visible += 1,
            Action::Replicate => state.db.replica += 1,
            Action::Quarantine(change) => {
                let (b, slot) = self.bounds.place(self.bounds.writes[change].target);
                let bucket = &mut state.l2[b];
                let Some(wm) = bucket.watermark else { return };
                let marked = match bucket.records[slot] {
                    Record::Absent => wm.applied,
                    Record::Value(value) | Record::Expired { value, .. } => value.as_of,
                    Record::Mark { floor, .. } | Record::Quarantine { floor, .. } => floor,
                };
                let floor = marked.max(wm.floor);
                bucket.records[slot] = Record::Quarantine {
                    floor,
                    granted: floor.max(wm.applied).max(wm.seen),
                    writer: change as u8,
                };
                if state.stages[change] == Stage::Unborn {
                    state.stages[change] = Stage::Quarantined;
                }
            }
            _ => unreachable!("not a step of the database"),
        }
    }

    /// Step 3 of writing through: the value over the own quarantine, at the next position
    /// after that began, or an invalidation at the bucket's next local one where it is gone.
    pub(crate) fn store(&self, state: &mut State, change: usize) {
        let target = self.bounds.writes[change].target;
        let (b, slot) = self.bounds.place(target);
        let expected = self.expected(state, b, true);
        let Some(next) = state.l2[b].next_local(slot, expected.known, &self.rules) else {
            return;
        };
        let bucket = &mut state.l2[b];
        let quarantine = bucket.records[slot];
        let position = match quarantine {
            Record::Quarantine { granted, .. }
                if self.rules.store_is_as_old_as_quarantine && !self.lost(quarantine, change) =>
            {
                granted.next_tick()
            }
            _ => next,
        };
        if self.lost(quarantine, change) && !self.rules.lost_token_invalidates {
            state.stages[change] = Stage::Done;
            return;
        }
        bucket.apply(slot, position, expected, &self.rules);
        let whole = bucket.watermark.map_or(Pos::ZERO, |wm| wm.floor);
        if self.lost(quarantine, change) || self.is_below(quarantine, whole) {
            self.sights.note(Sight::QuarantineLost);
        } else {
            self.sights.note(Sight::WroteThrough);
            bucket.records[slot] = Record::Value(Value {
                shows: change as u8 + 1,
                as_of: position,
                stamp: Pos::ZERO,
            });
        }
        bucket.cleared[slot] = bucket.cleared[slot].max(change as u8 + 1);
        state.local[change] = position;
        state.stages[change] = Stage::Applied;
        let known = &mut state.readers[0].applied[b];
        *known = position.max(*known);
    }

    /// Whether a writer's quarantine is gone, or another's by now.
    fn lost(&self, record: Record, change: usize) -> bool {
        let mine =
            matches!(record, Record::Quarantine { writer, .. } if usize::from(writer) == change);
        !mine && self.rules.store_needs_token
    }

    /// Whether a quarantine is older than its bucket's floor: a failover may have
    /// brought it back, and lost the invalidation that had ended it.
    fn is_below(&self, record: Record, whole: Pos) -> bool {
        let below = matches!(record, Record::Quarantine { floor, .. } if floor < whole);
        below && self.rules.store_needs_whole_bucket
    }

    /// Whether a change is announced by its writer, which is the first reader's
    /// process.
    pub(crate) fn is_local(&self, change: usize) -> bool {
        self.bounds.writes[change].how != How::Streamed
    }
}
