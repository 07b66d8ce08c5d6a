//! How a change goes out: L2, then the bus, then the answer to the stream; and the
//! heartbeats that see to buckets which lost writes.

use crate::bounds::How;
use crate::l2::Expected;
use crate::position::Pos;
use crate::sights::Sight;
use crate::state::{Message, Says, Stage, State};
use crate::system::{System, streamed};

impl System {
    /// L2 applies a change.
    pub(crate) fn apply(&self, state: &mut State, change: usize) {
        if self.bounds.writes[change].how == How::Through {
            return self.store(state, change);
        }
        let (b, slot) = self.bounds.place(self.bounds.writes[change].target);
        let local = self.is_local(change);
        let expected = self.expected(state, b, local);
        let position = if local {
            let Some(next) = state.l2[b].next_local(slot, expected.known, &self.rules) else {
                return;
            };
            state.local[change] = next;
            next
        } else {
            streamed(state.invalidator.epoch, change)
        };
        let bucket = &mut state.l2[b];
        let raised = bucket.apply(slot, position, expected, &self.rules);
        bucket.cleared[slot] = bucket.cleared[slot].max(change as u8 + 1);
        let known = if local {
            &mut state.readers[0].applied[b]
        } else {
            &mut state.invalidator.applied[b]
        };
        *known = position.max(*known);
        state.stages[change] = match state.stages[change] {
            Stage::Told => Stage::Done,
            _ => Stage::Applied,
        };
        if raised {
            self.sights.note(Sight::Raised);
            self.say_raised(state, b, local);
        }
    }

    /// What an announcer knows of a bucket: the invalidator, or the first reader's
    /// process for its local changes.
    pub(crate) fn expected(&self, state: &State, b: usize, local: bool) -> Expected {
        if local {
            let reader = &state.readers[0];
            return Expected {
                known: reader.applied[b],
                told: reader.seen,
            };
        }
        Expected {
            known: state.invalidator.applied[b],
            told: state.invalidator.told,
        }
    }

    /// The bus carries a change, and the stream hears that it is done.
    pub(crate) fn publish(&self, state: &mut State, change: usize) {
        let local = self.is_local(change);
        let position = if local {
            state.local[change]
        } else {
            streamed(state.invalidator.epoch, change)
        };
        state.stages[change] = match state.stages[change] {
            Stage::Applied => Stage::Done,
            _ => Stage::Told,
        };
        let says = Says::Changed {
            change: change as u8,
            position,
            early: false,
        };
        if local {
            // Its own process is done with it at once; the invalidator listens.
            self.take_in(state, 0, says);
            let (b, _) = self.bounds.place(self.bounds.writes[change].target);
            let known = &mut state.invalidator.applied[b];
            *known = position.max(*known);
            let applied = state.l2[b].watermark.map_or(Pos::ZERO, |wm| wm.applied);
            state.unmended[b] |= applied < position;
        }
        self.say(state, says, local);
    }

    /// The bus carries a change that L2 did not take.
    pub(crate) fn tell_early(&self, state: &mut State, change: usize) {
        let (b, _) = self.bounds.place(self.bounds.writes[change].target);
        let position = streamed(state.invalidator.epoch, change);
        let says = Says::Changed {
            change: change as u8,
            position,
            early: true,
        };
        // The invalidator listens too, and hears itself.
        let known = &mut state.invalidator.applied[b];
        *known = position.max(*known);
        self.say(state, says, false);
    }

    /// A heartbeat of the invalidator.
    pub(crate) fn beat(&self, state: &mut State) {
        state.left.beats -= 1;
        let done = self.done(state);
        let epoch = state.invalidator.epoch;
        let far = if self.rules.seen_is_contiguous {
            Pos::at(epoch, done)
        } else {
            let known = state.invalidator.applied;
            let highest = known[0].max(known[1]).max(state.invalidator.seen);
            Pos::at(highest.epoch(), highest.offset())
        };
        let seen = far.max(state.invalidator.seen);
        for b in 0..self.bounds.buckets() {
            let expected = self.expected(state, b, false);
            let raised = state.l2[b].beat(seen, expected, &self.rules);
            state.unmended[b] = false;
            let applied = state.l2[b].watermark.map_or(Pos::ZERO, |wm| wm.applied);
            state.invalidator.applied[b] = expected.known.max(applied);
            if raised {
                self.sights.note(Sight::Raised);
                self.say_raised(state, b, false);
            }
        }
        state.invalidator.told = seen;
        self.say(state, Says::Beat { seen, done }, false);
    }

    /// A reader sees to a bucket that is behind what it heard.
    pub(crate) fn mend(&self, state: &mut State, r: usize, b: usize) {
        let reader = &state.readers[r];
        let Some(wm) = state.l2[b].watermark else {
            return;
        };
        if wm.applied >= reader.applied[b] && wm.seen >= reader.seen {
            return;
        }
        let seen = reader.seen;
        let expected = Expected {
            known: reader.applied[b],
            told: seen,
        };
        if state.l2[b].beat(seen, expected, &self.rules) {
            self.sights.note(Sight::Raised);
            self.say_raised(state, b, true);
        }
    }

    fn say_raised(&self, state: &mut State, b: usize, other: bool) {
        if self.rules.raise_is_told {
            let position = state.l2[b].watermark.map_or(Pos::ZERO, |wm| wm.floor);
            let bucket = b as u8;
            self.say(state, Says::Raised { bucket, position }, other);
        }
    }

    /// Publishes to everybody who is subscribed. `other` is a publisher that is
    /// not the invalidator; its numbers are not part of the model, so its
    /// messages are never lost.
    fn say(&self, state: &mut State, says: Says, other: bool) {
        let invalidator = &mut state.invalidator;
        let beat = matches!(says, Says::Beat { .. });
        if !other && !beat {
            invalidator.sequence += 1;
        }
        let message = Message {
            life: (!other).then_some(invalidator.life),
            sequence: if other { 0 } else { invalidator.sequence },
            says,
        };
        for reader in &mut state.readers[..self.bounds.readers] {
            if reader.subscribed {
                reader.queue.push(message);
            }
        }
    }

    /// All changes up to this are announced, or lost with their stream.
    pub(crate) fn done(&self, state: &State) -> u8 {
        self.first(state, |stage| matches!(stage, Stage::Done | Stage::Lost))
    }

    /// All changes up to this are announced.
    pub(crate) fn announced(&self, state: &State) -> u8 {
        self.first(state, |stage| *stage == Stage::Done)
    }

    fn first(&self, state: &State, over: impl Fn(&Stage) -> bool) -> u8 {
        let stages = &state.stages[..self.bounds.writes.len()];
        stages.iter().take_while(|stage| over(stage)).count() as u8
    }
}
