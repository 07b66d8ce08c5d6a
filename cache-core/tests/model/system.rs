//! The model: everything that may happen next in a state.

use crate::bounds::{Bounds, How, KEYS, Loader};
use crate::listeners::canonical;
use crate::rules::Rules;
use crate::sights::Sights;
use crate::state::{Bucket, Invariant, Reader, Record, Stage, State, Step, Value, Watermark};
use crate::{invariants, position::Pos};
use stateright::{Model, Property};

/// One step of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A writer marks its key before it writes through.
    Quarantine(usize),
    /// The next change is committed.
    Commit,
    /// The next commit can be read on the primary.
    Show,
    /// The next change can be read on the replica.
    Replicate,
    /// L2 applies a change.
    Apply(usize),
    /// The bus carries a change.
    Publish(usize),
    /// The invalidator's heartbeat: every bucket, then the bus.
    Beat,
    /// A reader hears its next message.
    Hear(usize),
    /// A reader that found L1 empty looks into L2.
    Look {
        reader: usize,
        key: usize,
        at_least: u8,
    },
    /// A flight finds that the value it read has expired.
    Age(usize, usize),
    /// A flight asks for the lease.
    Lease(usize, usize),
    /// A flight reads the source.
    Load(usize, usize),
    /// A flight offers its value to L2.
    Fill(usize, usize),
    /// A flight keeps its value in L1 and answers.
    Keep(usize, usize),
    /// One more caller waits for a flight.
    Join(usize, usize),
    /// A reader sees to a bucket that it found behind.
    Mend(usize, usize),
    /// L2 evicts a record.
    Evict(usize, usize),
    /// L1 evicts an entry.
    EvictL1(usize, usize),
    /// A lease or a quarantine runs out.
    Expire(usize, usize),
    /// An event comes again.
    Redeliver(usize),
    /// A reader's next message is lost.
    Drop(usize),
    /// L2 does not take a change; the bus is told.
    Early(usize),
    /// The invalidator dies and another begins.
    Crash,
    /// A shard's replica gets no more writes.
    FallBehind(usize),
    /// That replica becomes the master.
    Failover(usize),
    /// A bucket is lost.
    Wipe(usize),
    /// A span of trust passes.
    Span,
    /// A reader's connection to the bus breaks.
    Cut(usize),
    /// It is back.
    Reconnect(usize),
    /// A reader's process ends, and another begins.
    Restart(usize),
    /// The stream is lost and made anew, in the next epoch.
    NewStream,
}

/// The model of one configuration under some rules.
#[derive(Debug)]
pub(crate) struct System {
    /// The bounds.
    pub(crate) bounds: Bounds,
    /// The rules that hold.
    pub(crate) rules: Rules,
    /// What has been seen to happen.
    pub(crate) sights: Sights,
}

impl System {
    /// A model that has seen nothing yet.
    pub(crate) fn new(bounds: Bounds, rules: Rules) -> Self {
        let sights = Sights::default();
        Self {
            bounds,
            rules,
            sights,
        }
    }

    /// The numbers of the changes, from 0.
    fn changes(&self) -> impl Iterator<Item = usize> + use<> {
        0..self.bounds.writes.len()
    }

    fn of_writers(&self, state: &State, all: &mut Vec<Action>) {
        let next = usize::from(state.db.logged);
        for i in self.changes() {
            let through = self.bounds.writes[i].how == How::Through;
            let stage = state.stages[i];
            let late = stage == Stage::Waiting && !self.rules.quarantine_precedes_commit;
            if through && (stage == Stage::Unborn || late) {
                all.push(Action::Quarantine(i));
            }
            let waits = through && self.rules.quarantine_precedes_commit;
            let ready = match stage {
                Stage::Unborn => !waits,
                Stage::Quarantined => through,
                _ => false,
            };
            if i == next && ready {
                all.push(Action::Commit);
            }
        }
        if state.db.visible < state.db.logged {
            all.push(Action::Show);
        }
        if self.bounds.loader == Loader::Replica && state.db.replica < state.db.visible {
            all.push(Action::Replicate);
        }
    }

    fn of_announcers(&self, state: &State, all: &mut Vec<Action>) {
        // A publisher without room would wait; the paths on which readers were
        // faster go on.
        if !state.readers.iter().all(|reader| reader.queue.has_room()) {
            return;
        }
        for i in self.changes() {
            match state.stages[i] {
                Stage::Waiting if self.may_leave(state, i) => {
                    all.push(if self.rules.l2_first {
                        Action::Apply(i)
                    } else {
                        Action::Publish(i)
                    });
                    if state.left.early > 0 {
                        all.push(Action::Early(i));
                    }
                }
                Stage::Told => all.push(Action::Apply(i)),
                Stage::Applied => all.push(Action::Publish(i)),
                Stage::Done if state.left.redeliveries > 0 => all.push(Action::Redeliver(i)),
                _ => {}
            }
        }
        if state.left.beats > 0 {
            all.push(Action::Beat);
        }
    }

    /// The barrier: an event leaves when its change can be read on the primary.
    fn may_leave(&self, state: &State, change: usize) -> bool {
        let visible = !self.rules.barrier || change < usize::from(state.db.visible);
        let in_order = self.rules.applies_in_order && !self.bounds.reorders;
        visible && !(in_order && self.overtakes(state, change))
    }

    /// Whether an earlier change of the same bucket waits as well.
    fn overtakes(&self, state: &State, change: usize) -> bool {
        let bucket = |i: usize| self.bounds.place(self.bounds.writes[i].target).0;
        let waits = |i: &usize| matches!(state.stages[*i], Stage::Waiting | Stage::Told);
        let mut earlier = (0..change).filter(|i| bucket(*i) == bucket(change));
        earlier.any(|i| waits(&i) && !self.is_local(i))
    }

    fn of_readers(&self, state: &State, all: &mut Vec<Action>) {
        for r in 0..self.bounds.readers {
            let reader = &state.readers[r];
            if !reader.queue.is_empty() {
                all.push(Action::Hear(r));
            }
            let most = if self.bounds.sessions {
                state.db.visible
            } else {
                0
            };
            for key in 0..self.bounds.keys {
                all.extend((0..=most).map(|at_least| Action::Look {
                    reader: r,
                    key,
                    at_least,
                }));
            }
            for (f, flight) in reader.flights.iter().enumerate() {
                match flight.step {
                    Step::Idle => continue,
                    Step::Missed(_) => all.push(Action::Lease(r, f)),
                    Step::Granted(_) => all.push(Action::Load(r, f)),
                    Step::Loaded { .. } => all.push(Action::Fill(r, f)),
                    Step::Found(_) | Step::Stored(_) => all.push(Action::Keep(r, f)),
                }
                if matches!(flight.step, Step::Found(_)) && state.left.ages > 0 {
                    all.push(Action::Age(r, f));
                }
                all.push(Action::Join(r, f));
            }
            if self.bounds.faults.failovers > 0
                && state.readers.iter().all(|reader| reader.queue.has_room())
            {
                all.extend((0..self.bounds.buckets()).map(|bucket| Action::Mend(r, bucket)));
            }
        }
    }

    fn of_l2_faults(&self, state: &State, all: &mut Vec<Action>) {
        let left = &state.left;
        for bucket in 0..self.bounds.buckets() {
            for slot in 0..2 {
                if left.evictions > 0 {
                    all.push(Action::Evict(bucket, slot));
                }
                if left.expiries > 0 {
                    all.push(Action::Expire(bucket, slot));
                }
            }
            if left.failovers > 0 && state.behind[bucket].is_none() {
                all.push(Action::FallBehind(bucket));
            }
            if state.behind[bucket].is_some() {
                all.push(Action::Failover(bucket));
            }
            if left.wipes > 0 {
                all.push(Action::Wipe(bucket));
            }
        }
    }

    fn of_other_faults(&self, state: &State, all: &mut Vec<Action>) {
        let left = &state.left;
        for r in 0..self.bounds.readers {
            if left.evictions > 0 {
                all.extend((0..self.bounds.keys).map(|key| Action::EvictL1(r, key)));
            }
            if left.drops > 0 {
                all.push(Action::Drop(r));
            }
            if left.restarts > 0 {
                all.push(Action::Restart(r));
            }
            if !state.readers[r].subscribed {
                all.push(Action::Reconnect(r));
            } else if left.cuts > 0 {
                all.push(Action::Cut(r));
            }
        }
        if left.crashes > 0 {
            all.push(Action::Crash);
        }
        if left.spans > 0 {
            all.push(Action::Span);
        }
        if left.streams > 0 {
            all.push(Action::NewStream);
        }
    }

    /// The state after an action; the same state if the action changes nothing.
    pub(crate) fn after(&self, state: &State, action: Action) -> State {
        let mut next = *state;
        match action {
            Action::Quarantine(_) | Action::Commit | Action::Show | Action::Replicate => {
                self.write(&mut next, action);
            }
            Action::Apply(i) => self.apply(&mut next, i),
            Action::Publish(i) => self.publish(&mut next, i),
            Action::Beat => self.beat(&mut next),
            Action::Hear(r) => self.hear(&mut next, r),
            Action::Look {
                reader,
                key,
                at_least,
            } => self.look(&mut next, reader, key, at_least),
            Action::Age(r, f) => self.age(&mut next, r, f),
            Action::Lease(r, f) => self.lease(&mut next, r, f),
            Action::Load(r, f) => self.load(&mut next, r, f),
            Action::Fill(r, f) => self.fill(&mut next, r, f),
            Action::Keep(r, f) => self.keep(&mut next, r, f),
            Action::Join(r, f) => self.join(&mut next, r, f),
            Action::Mend(r, bucket) => self.mend(&mut next, r, bucket),
            fault => self.strike(&mut next, fault),
        }
        for reader in &mut next.readers {
            canonical(reader, self.bounds.tagged);
        }
        next
    }
}

impl Model for System {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            left: self.bounds.faults,
            ..State::default()
        };
        for bucket in &mut state.l2[..self.bounds.buckets()] {
            *bucket = Bucket {
                watermark: Some(Watermark::default()),
                ..Bucket::default()
            };
        }
        for key in KEYS
            .into_iter()
            .take(self.bounds.keys)
            .filter(|_| self.bounds.warm)
        {
            let (bucket, slot) = self.bounds.place(key);
            state.l2[bucket].records[slot] = Record::Value(Value::default());
        }
        for reader in &mut state.readers[..self.bounds.readers] {
            *reader = Reader {
                trust: true,
                subscribed: true,
                heard: Some((0, 0)),
                ..Reader::default()
            };
        }
        vec![state]
    }

    fn actions(&self, state: &State, all: &mut Vec<Action>) {
        // A broken invariant is the end of a story.
        if state.broken.is_some() {
            return;
        }
        self.of_writers(state, all);
        self.of_announcers(state, all);
        self.of_readers(state, all);
        self.of_l2_faults(state, all);
        self.of_other_faults(state, all);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let next = self.after(state, action);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        invariants::properties()
    }
}

/// The position of a streamed change.
pub(crate) fn streamed(epoch: u8, change: usize) -> Pos {
    Pos::at(epoch, change as u8 + 1)
}

/// Keeps the first invariant that an answer broke.
pub(crate) fn broken(state: &mut State, invariant: Invariant) {
    state.broken.get_or_insert(invariant);
}
