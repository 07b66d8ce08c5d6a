//! What must always hold. Some are looked for in every state; others are noted by
//! the step that answers a caller, in `State::broken`.

use crate::bounds::{KEYS, Target};
use crate::sights::Sight;
use crate::state::{Invariant, Stage, State, Step, Value};
use crate::system::System;
use stateright::Property;

/// The name of an invariant among stateright's properties.
pub(crate) const fn name(invariant: Invariant) -> &'static str {
    match invariant {
        Invariant::AsOf => "an as-of is true",
        Invariant::I1 => "I1: L2 holds nothing older than what it applied",
        Invariant::I2 => "I2: L1 serves nothing older than what its process handled",
        Invariant::I3 => "I3: L2 serves nobody what a heartbeat they heard had behind it",
        Invariant::I4 => "I4: no answer is older than what its process had handled",
        Invariant::I5 => "I5: no answer is older than `at_least`",
        Invariant::C => "C: at rest, the tiers hold the database's value or nothing",
        Invariant::B => "B: a span later, no L1 serves what was before a change",
    }
}

/// All invariants, as stateright looks for them.
pub(crate) fn properties() -> Vec<Property<System>> {
    let answered = |invariant, holds| Property::always(name(invariant), holds);
    vec![
        Property::always(name(Invariant::AsOf), |system: &System, state: &State| {
            as_ofs(system, state)
        }),
        Property::always(name(Invariant::I1), |system: &System, state: &State| {
            i1(system, state)
        }),
        Property::always(name(Invariant::I2), |system: &System, state: &State| {
            i2(system, state)
        }),
        answered(Invariant::I3, |_, state: &State| {
            state.broken != Some(Invariant::I3)
        }),
        answered(Invariant::I4, |_, state: &State| {
            state.broken != Some(Invariant::I4)
        }),
        answered(Invariant::I5, |_, state: &State| {
            state.broken != Some(Invariant::I5)
        }),
        Property::always(name(Invariant::C), |system: &System, state: &State| {
            c(system, state)
        }),
        Property::always(name(Invariant::B), |system: &System, state: &State| {
            b(system, state)
        }),
    ]
}

fn as_ofs(system: &System, state: &State) -> bool {
    let is_true = |key: usize, value: &Value| {
        let upto = value.as_of.offset().min(system.bounds.writes.len() as u8);
        value.shows >= system.bounds.content(key, upto)
    };
    let mut all = (0..system.bounds.keys).map(|key| {
        let (bucket, slot) = system.bounds.place(KEYS[key]);
        let in_l2 = state.l2[bucket].records[slot].value();
        let in_l2 = in_l2.is_none_or(|value| is_true(key, &value));
        let mut l1 = state
            .readers
            .iter()
            .filter_map(|reader| reader.l1[key].as_ref());
        in_l2 && l1.all(|entry| is_true(key, &entry.value))
    });
    all.all(|holds| holds)
}

/// The value of a key that L2 would serve to a process that has heard nothing.
fn served(system: &System, state: &State, key: usize) -> Option<Value> {
    let (b, slot) = system.bounds.place(KEYS[key]);
    let bucket = &state.l2[b];
    let value = bucket.records[slot].value()?;
    (value.as_of >= bucket.watermark?.floor).then_some(value)
}

fn i1(system: &System, state: &State) -> bool {
    (0..system.bounds.keys).all(|key| {
        let (bucket, slot) = system.bounds.place(KEYS[key]);
        let cleared = state.l2[bucket].cleared[slot];
        served(system, state, key).is_none_or(|value| value.shows >= cleared)
    })
}

fn i2(system: &System, state: &State) -> bool {
    let readers = &state.readers[..system.bounds.readers];
    readers.iter().all(|reader| {
        (0..system.bounds.keys).all(|key| {
            let handled = system.handled(reader, key);
            system
                .l1_answer(reader, key)
                .is_none_or(|value| value.shows >= handled)
        })
    })
}

fn b(system: &System, state: &State) -> bool {
    let readers = &state.readers[..system.bounds.readers];
    readers.iter().all(|reader| {
        (0..system.bounds.keys).all(|key| {
            let due = system.bounds.content(key, reader.due);
            system
                .l1_answer(reader, key)
                .is_none_or(|value| value.shows >= due)
        })
    })
}

fn c(system: &System, state: &State) -> bool {
    if !at_rest(system, state) {
        return true;
    }
    system.sights.note(Sight::Rest);
    let all = system.bounds.writes.len() as u8;
    (0..system.bounds.keys).all(|key| {
        let last = system.bounds.content(key, all);
        let in_l2 = served(system, state, key).filter(|value| tag_serves(system, state, value));
        let readers = &state.readers[..system.bounds.readers];
        let mut l1 = readers
            .iter()
            .filter_map(|reader| system.l1_answer(reader, key));
        in_l2.is_none_or(|value| value.shows == last) && l1.all(|value| value.shows == last)
    })
}

fn tag_serves(system: &System, state: &State, value: &Value) -> bool {
    if !system.bounds.tagged {
        return true;
    }
    let (bucket, slot) = system.bounds.place(Target::Tag);
    let mut bucket = state.l2[bucket];
    let floor = bucket.tag_floor(slot, &system.rules);
    floor.is_some_and(|floor| value.stamp >= floor)
}

/// Whether writes have ended and every message is handled.
fn at_rest(system: &System, state: &State) -> bool {
    let changes = system.bounds.writes.len();
    let now = (state.invalidator.life, state.invalidator.sequence);
    let over = |stage: &Stage| matches!(stage, Stage::Done | Stage::Lost);
    let readers = &state.readers[..system.bounds.readers];
    usize::from(state.db.visible) == changes
        && state.stages[..changes].iter().all(over)
        && state.unmended == [false; 2]
        && readers.iter().all(|reader| {
            let idle = reader
                .flights
                .iter()
                .all(|flight| flight.step == Step::Idle);
            idle && reader.queue.is_empty() && reader.heard == Some(now) && !reader.silent
        })
}
