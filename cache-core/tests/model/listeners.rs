//! How a change comes in: the fence first, then L1; and how a process knows that
//! it missed something.

use crate::bounds::{KEYS, Target};
use crate::position::Pos;
use crate::sights::Sight;
use crate::state::{Flight, Message, Reader, Says, State, Step};
use crate::system::System;

impl System {
    /// A reader hears its next message.
    pub(crate) fn hear(&self, state: &mut State, r: usize) {
        let reader = &mut state.readers[r];
        let Some(message) = reader.queue.pop() else {
            return;
        };
        if self.missed(reader, &message) {
            self.gap(reader);
        }
        self.take_in(state, r, message.says);
    }

    /// Notes a message's number; whether one before it was missed.
    fn missed(&self, reader: &mut Reader, message: &Message) -> bool {
        let Some(life) = message.life else {
            return false;
        };
        let sequence = message.sequence;
        let beat = matches!(message.says, Says::Beat { .. });
        let before = if beat { sequence } else { sequence - 1 };
        let missed = match reader.heard {
            Some((known, last)) if known == life => {
                last != before && self.rules.gap_drops_l1 && (!beat || self.rules.beat_tells_last)
            }
            other => {
                reader.silent |= other.is_some();
                before != 0 && self.rules.stranger_is_gap
            }
        };
        reader.heard = Some((life, sequence));
        missed
    }

    /// Messages may have been lost: drops everything.
    pub(crate) fn gap(&self, reader: &mut Reader) {
        self.sights.note(Sight::Gap);
        reader.l1 = [None; 2];
        reader.tag_floor = None;
        for flight in &mut reader.flights {
            flight.ticket = false;
            flight.tags = false;
        }
    }

    /// Applies what a message says.
    pub(crate) fn take_in(&self, state: &mut State, r: usize, says: Says) {
        let reader = &mut state.readers[r];
        match says {
            Says::Changed {
                change,
                position,
                early,
            } => {
                let target = self.bounds.writes[usize::from(change)].target;
                let (b, _) = self.bounds.place(target);
                reader.applied[b] = position.max(reader.applied[b]);
                match target {
                    Target::Tag => self.raise_tag(reader),
                    key => raise_key(reader, key as usize),
                }
                if !early {
                    let handled = &mut reader.handled[target as usize];
                    *handled = (change + 1).max(*handled);
                }
            }
            Says::Raised { bucket, position } => {
                let b = usize::from(bucket);
                reader.applied[b] = position.max(reader.applied[b]);
                for (key, target) in KEYS.into_iter().enumerate() {
                    if self.bounds.place(target).0 == b {
                        raise_key(reader, key);
                    }
                }
                if self.bounds.tagged {
                    let floor = reader.tag_floor;
                    self.raise_tag(reader);
                    if self.bounds.place(Target::Tag).0 != b {
                        reader.tag_floor = floor;
                    }
                }
            }
            Says::Beat { seen, done } => self.hear_beat(reader, seen, done),
        }
    }

    fn hear_beat(&self, reader: &mut Reader, seen: Pos, done: u8) {
        reader.seen = seen.max(reader.seen);
        reader.told = done.max(reader.told);
        // Trust counts from when a ping was sent: with a backlog before it, the
        // ping has not come back.
        reader.trust |= reader.queue.is_empty();
    }

    /// The tag's kept floor is cut off, and entries ask for it again.
    fn raise_tag(&self, reader: &mut Reader) {
        reader.tag_floor = None;
        if self.rules.tags_recheck_l1 {
            for entry in reader.l1.iter_mut().flatten() {
                entry.tags_checked = false;
            }
        }
        for flight in &mut reader.flights {
            flight.tags = false;
        }
    }
}

fn raise_key(reader: &mut Reader, key: usize) {
    reader.l1[key] = None;
    for flight in &mut reader.flights {
        if usize::from(flight.key) == key {
            flight.ticket = false;
        }
    }
}

/// Flights that are none look alike, and so do flights without tags.
pub(crate) fn canonical(reader: &mut Reader, tagged: bool) {
    for flight in &mut reader.flights {
        if flight.step == Step::Idle {
            *flight = Flight::default();
        }
        flight.tags |= !tagged && flight.step != Step::Idle;
    }
}
