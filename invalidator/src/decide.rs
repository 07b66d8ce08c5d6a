//! What becomes of one event: pure, and shared by `serve` and `explain`.

use crate::change::{Change, Malformed, Named, RowChange};
use crate::format::detect;
use crate::format::received::Received;
use crate::mapping::{self, Outcome};
use crate::rules::{OnMissing, Rules};
use cache_core::model::key::{Key, Name};
use cache_core::wire::invalidation::Target;
use std::collections::HashSet;

/// The label of events that no rule decided on.
pub const NO_RULE: &str = "none";
/// The label of events that name their keys themselves.
pub const NATIVE: &str = "native";

/// The most keys and tags that one event makes invalid one by one.
pub const TARGETS_MAX: usize = 10_000;

/// What becomes of one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What is invalid.
    pub targets: Vec<Target>,
    /// When the source changed, in milliseconds since the epoch.
    pub changed_ms: Option<u64>,
    /// Whether it may have come before every reader sees what it tells of.
    pub is_early: bool,
    /// Why the event is kept as a dead letter, if it is.
    pub letter: Option<Reason>,
    /// For each change in the event, one count for every rule about it, or one without a
    /// rule.
    pub counts: Vec<Count>,
}

/// Why an event is kept as a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The rule's tables, [`NATIVE`], or [`NO_RULE`].
    pub rule: String,
    /// What is wrong, for people.
    pub why: String,
}

/// What is counted of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The rule's tables, [`NATIVE`], or [`NO_RULE`].
    pub rule: String,
    /// What was done to the row; `none` where that is not known.
    pub op: &'static str,
    /// What it came to.
    pub outcome: Counted,
    /// How many keys and tags it made invalid.
    pub targets: usize,
}

/// What a change came to. Every change is exactly one of these for each rule about
/// it, or once if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Keys and tags, though perhaps none.
    Mapped,
    /// There is no rule about its table.
    Unmapped,
    /// The rule, or everybody, does not care for it.
    Ignored,
    /// A template misses a value.
    MissingColumn,
    /// It could not be read; it is a dead letter.
    ParseError,
    /// It came back too often; it is a dead letter.
    DeadLettered,
}

/// Reads an event and asks the rules.
pub fn decide(received: &Received<'_>, rules: &Rules) -> Decision {
    let parsed = match detect::parse(received, &rules.reading) {
        Ok(parsed) => parsed,
        Err(malformed) => return decide_malformed(&malformed, rules),
    };
    let each = parsed.changes.into_iter();
    let decisions = each.map(|change| decide_change(change, rules));
    let together = decisions.reduce(Decision::and);
    let mut decision = together.unwrap_or_else(|| plain(Counted::Ignored, Vec::new()));
    narrow(&mut decision.targets);
    decision.is_early = parsed.format.may_be_early();
    decision
}

fn decide_change(change: Change, rules: &Rules) -> Decision {
    match change {
        Change::Row(change) => decide_row(&change, rules),
        Change::Named(named) => decide_named(named),
        Change::Lost(_) => plain(Counted::Mapped, mapping::everything(rules.caches())),
        Change::Nothing(_) => plain(Counted::Ignored, Vec::new()),
        Change::Malformed(malformed) => decide_malformed(&malformed, rules),
    }
}

/// Names each target once. Beyond [`TARGETS_MAX`], clearing the caches costs less.
fn narrow(targets: &mut Vec<Target>) {
    if targets.len() > 1 {
        let mut seen = HashSet::with_capacity(targets.len());
        targets.retain(|target| seen.insert(target.clone()));
    }
    if targets.len() > TARGETS_MAX {
        let mut caches: Vec<_> = targets.iter().filter_map(cache_of).collect();
        caches.sort();
        caches.dedup();
        *targets = mapping::everything(caches);
    }
}

fn cache_of(target: &Target) -> Option<Name> {
    match target {
        Target::Key { cache, .. } | Target::Tag { cache, .. } => Some(cache.clone()),
        Target::Bucket(_) => None,
    }
}

impl Decision {
    /// What becomes of two changes that came as one event. One that is wrong does not
    /// keep the other from its effect.
    fn and(mut self, other: Self) -> Self {
        self.targets.extend(other.targets);
        self.counts.extend(other.counts);
        self.letter = self.letter.or(other.letter);
        self.changed_ms = match (self.changed_ms, other.changed_ms) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self
    }
}

/// Gives up on an event that came back `attempt` times: whoever took it died of it,
/// or could not answer for it. It is not even read again.
pub fn give_up(attempt: u64, rules: &Rules) -> Decision {
    let why = format!("it was delivered {attempt} times, and never answered for");
    let decision = plain(Counted::DeadLettered, mapping::everything(rules.caches()));
    Decision {
        is_early: true,
        letter: Some(Reason {
            rule: NO_RULE.to_owned(),
            why,
        }),
        ..decision
    }
}

fn decide_row(change: &RowChange, rules: &Rules) -> Decision {
    let verdicts = mapping::map(change, rules);
    if verdicts.is_empty() {
        return Decision {
            counts: vec![count(NO_RULE, change.op.word(), Counted::Unmapped, 0)],
            ..plain(Counted::Unmapped, Vec::new())
        };
    }
    let mut decision = Decision {
        targets: Vec::new(),
        changed_ms: change.changed_ms,
        is_early: false,
        letter: None,
        counts: Vec::with_capacity(verdicts.len()),
    };
    for verdict in verdicts {
        let rule = rules.all[verdict.rule].table.as_str();
        let counted = match &verdict.outcome {
            Outcome::Mapped => Counted::Mapped,
            Outcome::Ignored(_) => Counted::Ignored,
            Outcome::Missing(..) => Counted::MissingColumn,
        };
        let targets = verdict.targets.len();
        decision
            .counts
            .push(count(rule, change.op.word(), counted, targets));
        if let Outcome::Missing(missing, OnMissing::Error) = &verdict.outcome {
            decision.letter.get_or_insert_with(|| Reason {
                rule: rule.to_owned(),
                why: missing.to_string(),
            });
        }
        decision.targets.extend(verdict.targets);
    }
    decision
}

fn decide_named(named: Named) -> Decision {
    let Named {
        cache,
        keys,
        tags,
        changed_ms,
    } = named;
    let keys = keys.iter().filter_map(|key| {
        let key = Key::new(key.as_bytes()).ok()?;
        Some(Target::Key {
            cache: cache.clone(),
            key: key.bytes().into(),
        })
    });
    let tags = tags.into_iter().map(|tag| Target::Tag {
        cache: cache.clone(),
        tag,
    });
    let targets: Vec<_> = keys.chain(tags).collect();
    Decision {
        counts: vec![count(NATIVE, "none", Counted::Mapped, targets.len())],
        targets,
        changed_ms,
        is_early: false,
        letter: None,
    }
}

/// A colder cache is better than a wrong one: whatever the event may have meant is
/// cleared, as narrowly as it can be told.
fn decide_malformed(malformed: &Malformed, rules: &Rules) -> Decision {
    let (rule, caches) = match (&malformed.cache, &malformed.table) {
        (Some(cache), _) => (NATIVE, vec![cache.clone()]),
        (None, Some(table)) => {
            let about: Vec<_> = rules.about(table).map(|(_, rule)| rule).collect();
            let label = about.first().map_or(NO_RULE, |rule| rule.table.as_str());
            let mut caches: Vec<_> = about.iter().map(|rule| rule.cache.clone()).collect();
            caches.sort();
            caches.dedup();
            (label, caches)
        }
        (None, None) => (NO_RULE, rules.caches()),
    };
    let targets = mapping::everything(caches);
    Decision {
        counts: vec![count(rule, "none", Counted::ParseError, targets.len())],
        targets,
        changed_ms: None,
        // Nobody can tell what wrote it.
        is_early: true,
        letter: Some(Reason {
            rule: rule.to_owned(),
            why: malformed.why.clone(),
        }),
    }
}

fn plain(counted: Counted, targets: Vec<Target>) -> Decision {
    Decision {
        counts: vec![count(NO_RULE, "none", counted, targets.len())],
        targets,
        changed_ms: None,
        is_early: false,
        letter: None,
    }
}

fn count(rule: &str, op: &'static str, outcome: Counted, targets: usize) -> Count {
    Count {
        rule: rule.to_owned(),
        op,
        outcome,
        targets,
    }
}
