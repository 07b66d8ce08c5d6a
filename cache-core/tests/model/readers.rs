//! A process that reads: L1, a look into L2, the lease, the load, the fill.
//!
//! Two steps of the code are one step here where the later of them only sees more:
//! the ticket and the look into L2 (a ticket taken earlier is refused earlier), and
//! the look and its check against the horizon (a later check knows more).

use crate::bounds::{KEYS, Loader, Target};
use crate::faults::admits;
use crate::l2::Leased;
use crate::position::Pos;
use crate::sights::Sight;
use crate::state::{Entry, Flight, Invariant, Reader, Record, Seen, State, Step, Value};
use crate::system::{System, broken};

impl System {
    /// What L1 would answer.
    pub(crate) fn l1_answer<'a>(&self, reader: &'a Reader, key: usize) -> Option<&'a Value> {
        let entry = reader.l1[key].as_ref().filter(|_| reader.trust)?;
        let known = || {
            reader
                .tag_floor
                .is_some_and(|floor| entry.value.stamp >= floor)
        };
        let tags = !self.bounds.tagged || entry.tags_checked || known();
        tags.then_some(&entry.value)
    }

    /// A caller asks for a key that L1 does not answer.
    pub(crate) fn look(&self, state: &mut State, r: usize, key: usize, at_least: u8) {
        let asked = Pos::at(0, at_least);
        if let Some(value) = self.l1_answer(&state.readers[r], key).copied() {
            self.sights.note(Sight::L1Answers);
            if value.as_of >= asked || !self.rules.hit_compares_at_least {
                if value.shows < self.bounds.content(key, at_least) {
                    broken(state, Invariant::I5);
                }
                return;
            }
            self.sights.note(Sight::TooOld);
        }
        let reader = &state.readers[r];
        let joins = |flight: &Flight| {
            let current = flight.ticket && (flight.tags || !self.rules.flight_counts_tags);
            flight.step != Step::Idle
                && usize::from(flight.key) == key
                && flight.at_least == asked
                && current
        };
        let flights = &reader.flights[..self.bounds.flights];
        let idle = flights.iter().position(|flight| flight.step == Step::Idle);
        let Some(f) = idle.filter(|_| !flights.iter().any(joins)) else {
            return;
        };
        let mut flight = self.begin(reader, key, asked);
        flight.step = match self.examine(state, r, key, asked) {
            Some(step) => step,
            None => return,
        };
        state.readers[r].flights[f] = flight;
    }

    /// Everything that is taken before the first outside read.
    fn begin(&self, reader: &Reader, key: usize, at_least: Pos) -> Flight {
        let (b, _) = self.bounds.place(KEYS[key]);
        let (tag, _) = self.bounds.place(Target::Tag);
        let tagged = self.bounds.tagged;
        Flight {
            step: Step::Idle,
            key: key as u8,
            ticket: true,
            tags: true,
            stamp: if tagged {
                reader.applied[tag].max(reader.seen)
            } else {
                Pos::ZERO
            },
            reach: if tagged {
                reader.applied[b].max(reader.applied[tag])
            } else {
                reader.applied[b]
            },
            at_least,
            handled: self.handled(reader, key),
            told: self.bounds.content(key, reader.told),
        }
    }

    /// Looks into L2; nothing where the bucket cannot be believed, and the caller
    /// loads for itself alone.
    fn examine(&self, state: &mut State, r: usize, key: usize, asked: Pos) -> Option<Step> {
        let (b, slot) = self.bounds.place(KEYS[key]);
        let bucket = state.l2[b];
        if !admits(&state.readers[r], b, &bucket, &self.rules) {
            self.sights.note(Sight::Distrusted);
            return None;
        }
        let wm = bucket.watermark?;
        let known = &mut state.readers[r].applied[b];
        *known = wm.applied.max(*known);
        let Some(value) = bucket.records[slot].value() else {
            return Some(Step::Missed(Seen::Nothing));
        };
        if value.as_of < wm.floor {
            return Some(Step::Missed(Seen::Nothing));
        }
        if value.as_of < asked && self.rules.hit_compares_at_least {
            self.sights.note(Sight::TooOld);
            return Some(Step::Missed(Seen::Refused(value.as_of)));
        }
        if self.rules.tags_checked_in_l2 && !self.tag_admits(state, r, value.stamp) {
            self.sights.note(Sight::TagRefused);
            return Some(Step::Missed(Seen::Refused(value.as_of)));
        }
        self.sights.note(Sight::L2Answers);
        Some(Step::Found(value))
    }

    /// Whether a stamp reaches the tag's floor, as the reader knows it or as L2 says.
    fn tag_admits(&self, state: &mut State, r: usize, stamp: Pos) -> bool {
        if !self.bounds.tagged {
            return true;
        }
        let reader = &mut state.readers[r];
        if let Some(floor) = reader.tag_floor.filter(|_| reader.trust) {
            return stamp >= floor;
        }
        let (b, slot) = self.bounds.place(Target::Tag);
        if !admits(reader, b, &state.l2[b], &self.rules) {
            self.sights.note(Sight::Distrusted);
            return false;
        }
        let Some(floor) = state.l2[b].tag_floor(slot, &self.rules) else {
            return false;
        };
        let applied = state.l2[b].watermark.map_or(Pos::ZERO, |wm| wm.applied);
        reader.applied[b] = reader.applied[b].max(applied);
        reader.tag_floor = Some(floor);
        stamp >= floor
    }

    /// A value from L2 has expired: L1 keeps it for as long as nothing younger is to be
    /// had, and the flight goes on.
    pub(crate) fn age(&self, state: &mut State, r: usize, f: usize) {
        let flight = state.readers[r].flights[f];
        let Step::Found(value) = flight.step else {
            return;
        };
        state.left.ages -= 1;
        self.sights.note(Sight::Aged);
        self.put(state, r, &flight, value);
        state.readers[r].flights[f].step = Step::Missed(Seen::Expired(value.as_of));
    }

    /// Asks for the lease. Whoever does not get it loads for itself alone, or looks
    /// again.
    pub(crate) fn lease(&self, state: &mut State, r: usize, f: usize) {
        let flight = state.readers[r].flights[f];
        let Step::Missed(seen) = flight.step else {
            return;
        };
        let (b, slot) = self.bounds.place(KEYS[usize::from(flight.key)]);
        let holder = holder(r, f);
        let next = match state.l2[b].lease(slot, holder, seen, &self.rules) {
            Leased::Granted(as_of) => Flight {
                step: Step::Granted(as_of),
                ..flight
            },
            Leased::Busy | Leased::Present | Leased::Unknown => Flight::default(),
        };
        state.readers[r].flights[f] = next;
    }

    /// Reads the source, which is one statement for value and position.
    pub(crate) fn load(&self, state: &mut State, r: usize, f: usize) {
        let db = state.db;
        let flight = &mut state.readers[r].flights[f];
        let Step::Granted(granted) = flight.step else {
            return;
        };
        let key = usize::from(flight.key);
        let mut position = None;
        if self.bounds.loader == Loader::Replica {
            let at = Pos::at(0, db.replica);
            let reach = flight.reach.max(flight.at_least);
            // No replica can prove that it is past a local change.
            if at >= reach && !reach.is_local() || !self.rules.load_reaches {
                position = Some(at);
                if self.rules.stamp_within_as_of {
                    flight.stamp = flight.stamp.min(at);
                }
            } else {
                self.sights.note(Sight::Rerouted);
            }
        }
        let from = if position.is_some() {
            db.replica
        } else {
            db.visible
        };
        flight.step = Step::Loaded {
            shows: self.bounds.content(key, from),
            position,
            granted,
        };
    }

    /// Offers what was read to L2.
    pub(crate) fn fill(&self, state: &mut State, r: usize, f: usize) {
        let mut flight = state.readers[r].flights[f];
        let Step::Loaded {
            shows,
            position,
            granted,
        } = flight.step
        else {
            return;
        };
        if !self.rules.stamp_is_old {
            flight.stamp = self.begin(&state.readers[r], 0, Pos::ZERO).stamp;
        }
        let (b, slot) = self.bounds.place(KEYS[usize::from(flight.key)]);
        let value = Value {
            shows,
            as_of: position.unwrap_or(granted),
            stamp: flight.stamp,
        };
        let stored = if self.tag_admits(state, r, value.stamp) {
            state.l2[b].fill(slot, holder(r, f), value, position, &self.rules)
        } else {
            self.sights.note(Sight::TagRefused);
            release(state, b, slot, holder(r, f));
            None
        };
        let keep = match stored {
            Some(as_of) => {
                self.sights.note(Sight::Stored);
                Some(Value { as_of, ..value })
            }
            None => {
                self.sights.note(Sight::Refused);
                Some(value).filter(|_| !self.rules.l1_follows_l2)
            }
        };
        if let Some(value) = keep {
            flight.step = Step::Stored(value);
            state.readers[r].flights[f] = flight;
        } else {
            state.readers[r].flights[f] = Flight::default();
            self.answer(state, &flight, shows);
        }
    }

    /// Keeps a value in L1 if its ticket still holds, and answers with it.
    pub(crate) fn keep(&self, state: &mut State, r: usize, f: usize) {
        let flight = state.readers[r].flights[f];
        let (Step::Found(value) | Step::Stored(value)) = flight.step else {
            return;
        };
        self.put(state, r, &flight, value);
        state.readers[r].flights[f] = Flight::default();
        if matches!(flight.step, Step::Found(_)) && value.shows < flight.told {
            broken(state, Invariant::I3);
        }
        self.answer(state, &flight, value.shows);
    }

    fn put(&self, state: &mut State, r: usize, flight: &Flight, value: Value) {
        if flight.ticket || !self.rules.fence_decides {
            state.readers[r].l1[usize::from(flight.key)] = Some(Entry {
                value,
                tags_checked: flight.tags || !self.bounds.tagged,
            });
        } else {
            self.sights.note(Sight::FenceHeld);
        }
    }

    /// One more caller waits for a flight's answer.
    pub(crate) fn join(&self, state: &mut State, r: usize, f: usize) {
        let reader = &state.readers[r];
        let flight = reader.flights[f];
        let ticket = flight.ticket || !self.rules.flight_has_ticket;
        let tags = flight.tags || !self.rules.flight_counts_tags;
        if ticket && tags {
            self.sights.note(Sight::Joined);
            let handled = self.handled(reader, usize::from(flight.key));
            let flight = &mut state.readers[r].flights[f];
            flight.handled = flight.handled.max(handled);
        }
    }

    fn answer(&self, state: &mut State, flight: &Flight, shows: u8) {
        if shows < flight.handled {
            broken(state, Invariant::I4);
        }
        if shows
            < self
                .bounds
                .content(usize::from(flight.key), flight.at_least.offset())
        {
            broken(state, Invariant::I5);
        }
    }

    /// Ghost: the last change that a process handled and that a key must show.
    pub(crate) fn handled(&self, reader: &Reader, key: usize) -> u8 {
        let own = reader.handled[KEYS[key] as usize];
        let by_tag = if self.bounds.tagged {
            reader.handled[Target::Tag as usize]
        } else {
            0
        };
        own.max(by_tag)
    }
}

fn holder(r: usize, f: usize) -> u8 {
    (r * 2 + f) as u8
}

fn release(state: &mut State, b: usize, slot: usize, holder: u8) {
    match &mut state.l2[b].records[slot] {
        Record::Mark { lease, .. } => *lease = lease.filter(|lease| lease.holder != holder),
        Record::Expired { value, lease } if lease.holder == holder => {
            state.l2[b].records[slot] = Record::Value(*value);
        }
        _ => {}
    }
}
