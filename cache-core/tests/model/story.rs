//! A counterexample as a numbered story.

use crate::bounds::{Bounds, How};
use crate::state::{Record, Says, Seen, State, Step};
use crate::system::{Action, System};
use std::fmt::Write;

/// The steps to a state that breaks an invariant, one a line.
pub(crate) fn tell(system: &System, path: &[(State, Option<Action>)]) -> String {
    let mut story = String::new();
    for (number, (before, action)) in path.iter().enumerate() {
        let Some(action) = *action else { break };
        let after = system.after(before, action);
        let line = line(&system.bounds, action, before, &after);
        writeln!(story, "  {:>2}. {line}", number + 1).expect("a string takes every line");
    }
    story
}

fn line(bounds: &Bounds, action: Action, before: &State, after: &State) -> String {
    let change = |i: usize| format!("change {} (of {:?})", i + 1, bounds.writes[i].target);
    match action {
        Action::Quarantine(i) => format!("the writer of {} marks its key", change(i)),
        Action::Commit => format!("{} is committed", change(usize::from(before.db.logged))),
        Action::Show => format!("change {} can be read on the primary", after.db.visible),
        Action::Replicate => format!("change {} can be read on the replica", after.db.replica),
        Action::Apply(i) => {
            let (b, slot) = bounds.place(bounds.writes[i].target);
            let what = match bounds.writes[i].how {
                How::Through => format!("the writer of {} finishes in L2", change(i)),
                _ => format!("L2 applies {}", change(i)),
            };
            format!("{what}: {}", bucket(after, b, slot))
        }
        Action::Publish(i) => format!("the bus carries {}", change(i)),
        Action::Beat => {
            let told = after.invalidator.told;
            format!("the invalidator's heartbeat: {told:?} in every bucket, then on the bus")
        }
        Action::Mend(r, b) => format!("reader {r} sees to bucket {b}: {}", bucket(after, b, 0)),
        Action::Hear(_)
        | Action::Look { .. }
        | Action::Age(..)
        | Action::Lease(..)
        | Action::Load(..)
        | Action::Fill(..)
        | Action::Keep(..)
        | Action::Join(..) => reader_line(action, before, after),
        fault => fault_line(fault, after),
    }
}

fn reader_line(action: Action, before: &State, after: &State) -> String {
    match action {
        Action::Hear(r) => match before.readers[r].queue.first() {
            Some(message) => format!("reader {r} hears {}", said(message.says)),
            None => format!("reader {r} hears nothing"),
        },
        Action::Look {
            reader,
            key,
            at_least,
        } => {
            let key = ["A", "B"][key];
            let asked = if at_least > 0 {
                format!(", at least as of {at_least}")
            } else {
                String::new()
            };
            let flights = after.readers[reader]
                .flights
                .iter()
                .zip(&before.readers[reader].flights);
            let mut begun = flights
                .filter(|(new, old)| new != old)
                .map(|(new, _)| step(new.step));
            let found = begun.next().unwrap_or_else(|| "L1 answers".to_owned());
            format!("reader {reader} asks for {key}{asked}: {found}")
        }
        Action::Age(r, _) => format!("it has expired; reader {r} keeps it for want of a younger"),
        Action::Lease(r, f) | Action::Load(r, f) | Action::Fill(r, f) => {
            let (old, new) = (
                before.readers[r].flights[f].step,
                after.readers[r].flights[f].step,
            );
            match (old, new) {
                (Step::Loaded { shows, .. }, Step::Idle) => {
                    format!("L2 refuses it; reader {r} keeps nothing and answers {shows}")
                }
                (_, Step::Idle) => format!("reader {r} gets no lease"),
                _ => format!("reader {r} {}", step(new)),
            }
        }
        Action::Keep(r, f) => {
            let flight = &before.readers[r].flights[f];
            let (Step::Found(value) | Step::Stored(value)) = flight.step else {
                return String::new();
            };
            let kept = after.readers[r].l1 != before.readers[r].l1;
            let where_ = if kept {
                "keeps it in L1"
            } else {
                "keeps nothing"
            };
            format!("reader {r} {where_} and answers {}", value.shows)
        }
        Action::Join(r, _) => format!("another caller in reader {r} waits for that flight"),
        other => format!("{other:?}"),
    }
}

fn fault_line(fault: Action, after: &State) -> String {
    match fault {
        Action::Evict(b, _) => format!("FAULT: bucket {b} evicts a record"),
        Action::EvictL1(r, _) => format!("reader {r}'s L1 evicts an entry"),
        Action::Expire(b, _) => format!("a lease or quarantine in bucket {b} runs out"),
        Action::Redeliver(i) => format!("FAULT: the event of change {} comes again", i + 1),
        Action::Drop(r) => format!("FAULT: a message to reader {r} is lost"),
        Action::Early(i) => format!("FAULT: L2 does not take change {}; the bus is told", i + 1),
        Action::Crash => "FAULT: the invalidator dies, another begins".to_owned(),
        Action::FallBehind(b) => format!("FAULT: the replica of bucket {b} gets no more writes"),
        Action::Failover(b) => format!(
            "FAULT: that replica becomes master: {}",
            bucket(after, b, 0)
        ),
        Action::Wipe(b) => format!("FAULT: bucket {b} is lost"),
        Action::Span => "a span of trust passes".to_owned(),
        Action::Cut(r) => format!("FAULT: reader {r} loses the bus, and knows it"),
        Action::Reconnect(r) => format!("reader {r} hears the bus again"),
        Action::Restart(r) => format!("FAULT: reader {r} begins anew"),
        Action::NewStream => "FAULT: the stream is lost and made anew in the next epoch".to_owned(),
        other => format!("{other:?}"),
    }
}

fn bucket(state: &State, b: usize, slot: usize) -> String {
    let bucket = &state.l2[b];
    let record = match bucket.records[slot] {
        Record::Absent => "nothing".to_owned(),
        Record::Value(value) => format!("a value of {} as of {:?}", value.shows, value.as_of),
        Record::Expired { value, .. } => format!(
            "an expired value of {} as of {:?}, leased",
            value.shows, value.as_of
        ),
        Record::Mark { floor, lease } => {
            let leased = if lease.is_some() { ", leased" } else { "" };
            format!("a mark at {floor:?}{leased}")
        }
        Record::Quarantine { floor, .. } => format!("a quarantine at {floor:?}"),
    };
    match bucket.watermark {
        Some(wm) => format!(
            "{record}; applied {:?}, seen {:?}, floor {:?}",
            wm.applied, wm.seen, wm.floor
        ),
        None => format!("{record}; no watermark"),
    }
}

fn said(says: Says) -> String {
    match says {
        Says::Changed {
            change, position, ..
        } => format!("of change {}, at {position:?}", change + 1),
        Says::Raised { bucket, position } => {
            format!("that bucket {bucket}'s floor is {position:?}")
        }
        Says::Beat { seen, .. } => format!("a heartbeat at {seen:?}"),
    }
}

fn step(step: Step) -> String {
    match step {
        Step::Idle => "nothing".to_owned(),
        Step::Found(value) => format!("L2 has a value of {} as of {:?}", value.shows, value.as_of),
        Step::Missed(Seen::Nothing) => "L2 has no value".to_owned(),
        Step::Missed(Seen::Refused(_)) => "L2 has a value that is refused".to_owned(),
        Step::Missed(Seen::Expired(_)) => "L2 has a value that has expired".to_owned(),
        Step::Granted(as_of) => format!("is granted the lease as of {as_of:?}"),
        Step::Loaded {
            shows,
            position: Some(at),
            ..
        } => {
            format!("reads {shows} from the replica at {at:?}")
        }
        Step::Loaded { shows, .. } => format!("reads {shows} from the primary"),
        Step::Stored(value) => format!("has offered {} to L2 as of {:?}", value.shows, value.as_of),
    }
}
