//! What the rules of today make of an event of yesterday: the one place here that asks
//! them.

use super::read::Event;
use crate::decide::{Decision, decide};
use crate::format::received::Received;
use crate::rules::Rules;
use cache_core::wire::invalidation::Target;
use serde_json::{Value, json};
use std::fmt;

/// What `serve` would do with an event.
pub fn judge(event: &Event, rules: &Rules) -> Decision {
    let received = Received {
        subject: &event.subject,
        headers: &event.headers,
        payload: &event.payload,
    };
    decide(&received, rules)
}

/// An event with what becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The event.
    pub event: Event,
    /// What becomes of it.
    pub decision: Decision,
}

impl Judged {
    /// Asks the rules.
    pub fn new(event: Event, rules: &Rules) -> Self {
        let decision = judge(&event, rules);
        Self { event, decision }
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let Self { event, decision } = self;
        let counts = decision.counts.iter().map(
            |count| json!({"rule": count.rule, "op": count.op, "outcome": count.outcome.word()}),
        );
        json!({
            "sequence": event.sequence,
            "stored": event.stored.to_string(),
            "subject": event.subject,
            "rules": counts.collect::<Vec<_>>(),
            "invalidates": decision.targets.iter().map(target_json).collect::<Vec<_>>(),
            "dead_letter": decision.letter.as_ref().map(|letter| &letter.why),
        })
    }
}

impl fmt::Display for Judged {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, decision } = self;
        write!(
            f,
            "{:>8}  {}  {}  ",
            event.sequence, event.stored, event.subject
        )?;
        if let Some(letter) = &decision.letter {
            write!(f, "dead letter ({})  ", letter.why)?;
        }
        match &decision.targets[..] {
            [] => {
                let outcomes = decision.counts.iter().map(|count| count.outcome.word());
                f.write_str(&outcomes.collect::<Vec<_>>().join(", "))
            }
            targets => {
                let shown: Vec<_> = targets.iter().map(target_text).collect();
                f.write_str(&shown.join(", "))
            }
        }
    }
}

/// A key or a tag as the command line writes it: its cache, a colon, and itself.
pub fn named(target: &Target) -> (&'static str, String) {
    match target {
        Target::Key { cache, key } => ("key", format!("{cache}:{}", String::from_utf8_lossy(key))),
        Target::Tag { cache, tag } => ("tag", format!("{cache}:{tag}")),
        Target::Bucket(_) => unreachable!("no event names a bucket"),
    }
}

fn target_text(target: &Target) -> String {
    let (kind, name) = named(target);
    format!("{kind} {name}")
}

fn target_json(target: &Target) -> Value {
    let (kind, name) = named(target);
    json!({ kind: name })
}
