//! Faults: what no part does, and what befalls them.

use crate::position::Pos;
use crate::rules::Rules;
use crate::sights::Sight;
use crate::state::{Bucket, Invalidator, Reader, Record, Stage, State};
use crate::system::{Action, System};

impl System {
    /// Lets a fault strike, if it finds something.
    pub(crate) fn strike(&self, state: &mut State, fault: Action) {
        match fault {
            Action::Evict(..) | Action::Expire(..) => self.strike_record(state, fault),
            Action::FallBehind(_) | Action::Failover(_) | Action::Wipe(_) => {
                self.strike_shard(state, fault);
            }
            Action::EvictL1(..)
            | Action::Drop(_)
            | Action::Cut(_)
            | Action::Reconnect(_)
            | Action::Restart(_) => self.strike_reader(state, fault),
            Action::Redeliver(i) => {
                state.left.redeliveries -= 1;
                state.stages[i] = Stage::Waiting;
            }
            Action::Early(i) => {
                state.left.early -= 1;
                self.tell_early(state, i);
            }
            Action::Crash => self.crash(state),
            Action::Span => self.pass_span(state),
            Action::NewStream => self.lose_stream(state),
            _ => unreachable!("not a fault"),
        }
    }

    fn strike_record(&self, state: &mut State, fault: Action) {
        match fault {
            Action::Evict(b, slot) => {
                let record = &mut state.l2[b].records[slot];
                if *record != Record::Absent {
                    *record = Record::Absent;
                    state.left.evictions -= 1;
                }
            }
            Action::Expire(b, slot) => {
                let record = &mut state.l2[b].records[slot];
                let lease = None;
                *record = match *record {
                    Record::Mark {
                        floor,
                        lease: Some(_),
                    } => Record::Mark { floor, lease },
                    Record::Quarantine { floor, .. } => Record::Mark { floor, lease },
                    Record::Expired { value, .. } => Record::Value(value),
                    _ => return,
                };
                state.left.expiries -= 1;
            }
            _ => unreachable!("not a fault of a record"),
        }
    }

    fn strike_shard(&self, state: &mut State, fault: Action) {
        match fault {
            Action::FallBehind(b) => {
                state.left.failovers -= 1;
                state.behind[b] = Some(state.l2[b]);
            }
            Action::Failover(b) => {
                let Some(old) = state.behind[b].take() else {
                    return;
                };
                if old != state.l2[b] {
                    self.sights.note(Sight::LostWrites);
                    state.unmended[b] = true;
                }
                state.l2[b] = old;
            }
            Action::Wipe(b) => {
                state.left.wipes -= 1;
                state.l2[b] = Bucket::default();
                state.behind[b] = None;
                state.unmended[b] = true;
            }
            _ => unreachable!("not a fault of a shard"),
        }
    }

    fn strike_reader(&self, state: &mut State, fault: Action) {
        match fault {
            Action::EvictL1(r, key) => {
                if state.readers[r].l1[key].take().is_some() {
                    state.left.evictions -= 1;
                }
            }
            Action::Drop(r) => {
                let queue = &mut state.readers[r].queue;
                if queue.first().is_some_and(|first| first.life.is_some()) {
                    queue.pop();
                    state.left.drops -= 1;
                }
            }
            Action::Cut(r) => {
                state.left.cuts -= 1;
                self.lose_bus(&mut state.readers[r]);
            }
            Action::Reconnect(r) => state.readers[r].subscribed = true,
            Action::Restart(r) => {
                state.left.restarts -= 1;
                state.readers[r] = Reader {
                    subscribed: true,
                    ..Reader::default()
                };
            }
            _ => unreachable!("not a fault of a reader"),
        }
    }

    /// The bus says that messages were lost. What follows is not heard either,
    /// until the connection is back.
    fn lose_bus(&self, reader: &mut Reader) {
        self.gap(reader);
        reader.subscribed = false;
        reader.trust = false;
        reader.queue = Default::default();
        reader.heard = None;
        reader.silent = false;
    }

    fn crash(&self, state: &mut State) {
        state.left.crashes -= 1;
        let early_ack = !self.rules.ack_last;
        for stage in &mut state.stages {
            *stage = match *stage {
                Stage::Applied | Stage::Told if early_ack => Stage::Done,
                Stage::Applied | Stage::Told => Stage::Waiting,
                stage => stage,
            };
        }
        let old = state.invalidator;
        let mut next = Invalidator {
            life: old.life + 1,
            epoch: old.epoch,
            seen: Pos::at(old.epoch, self.done(state)),
            ..Invalidator::default()
        };
        if self.rules.restart_replays {
            next.told = lowest_seen(state);
            for (i, stage) in state.stages.iter_mut().enumerate() {
                if *stage == Stage::Done && i >= usize::from(next.told.offset()) {
                    *stage = Stage::Waiting;
                }
            }
            next.seen = next.told;
        }
        state.invalidator = next;
    }

    /// Time in which nobody who hears nothing stays trusted.
    fn pass_span(&self, state: &mut State) {
        state.left.spans -= 1;
        let due = self.announced(state);
        let now = (state.invalidator.life, state.invalidator.sequence);
        for reader in &mut state.readers[..self.bounds.readers] {
            let hears = reader.queue.is_empty() && reader.heard == Some(now);
            let fell_silent = reader.silent || reader.heard.is_some() && !hears;
            if fell_silent && self.rules.silence_is_gap {
                self.gap(reader);
                reader.heard = reader.heard.filter(|_| hears);
            }
            reader.silent = false;
            if !hears && reader.trust && self.rules.trust_lapses {
                self.sights.note(Sight::Lapsed);
                reader.trust = false;
            }
            reader.due = due;
        }
    }

    /// What the stream still held is lost; an operator begins a new epoch.
    fn lose_stream(&self, state: &mut State) {
        state.left.streams -= 1;
        for stage in &mut state.stages {
            if matches!(*stage, Stage::Waiting | Stage::Applied | Stage::Told) {
                *stage = Stage::Lost;
            }
        }
        let epoch = state.invalidator.epoch + 1;
        state.invalidator = Invalidator {
            life: state.invalidator.life + 1,
            epoch,
            seen: Pos::at(epoch, 0),
            ..Invalidator::default()
        };
        state.unmended = [true; 2];
    }
}

/// How far every bucket surely is: the lowest heartbeat that L2 still holds. A
/// bucket without a watermark gets a floor anyway.
fn lowest_seen(state: &State) -> Pos {
    let seen = state.l2.iter().filter_map(|bucket| bucket.watermark);
    seen.map(|wm| wm.seen).min().unwrap_or_default()
}

/// The rules under which a bucket may be trusted, by its reader's horizon.
pub(crate) fn admits(reader: &Reader, b: usize, bucket: &Bucket, rules: &Rules) -> bool {
    bucket.watermark.is_some_and(|wm| {
        (wm.applied >= reader.applied[b] || !rules.horizon_applied)
            && (wm.seen >= reader.seen || !rules.horizon_seen)
    })
}
