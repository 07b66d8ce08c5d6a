//! What the rules make of one event, for people and for programs.

use crate::change::{Change, Format, Op, Place, TableName};
use crate::decide::{Decision, decide};
use crate::format::detect;
use crate::format::received::Received;
use crate::mapping::{Outcome, map};
use crate::rules::{OnMissing, Rules};
use cache_core::wire::invalidation::Target;
use serde_json::{Map, Value, json};
use std::fmt;

/// What the rules make of one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The format, if it could be told.
    pub format: Option<Format>,
    /// Where the source says that it happened.
    pub place: Place,
    /// What is in it, in order; empty if it could not be read.
    pub changes: Vec<Told>,
    /// What becomes of it, as `serve` decides it.
    pub decision: Decision,
}

/// One change of an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// The table and what was done to it, if the change is about one.
    pub row: Option<(TableName, Op)>,
    /// One line for every rule about the table.
    pub rules: Vec<RuleLine>,
    /// Why nobody depends on it, if that is so.
    pub nothing: Option<String>,
}

/// What one rule made of a change.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleLine {
    /// Its line in the rules file.
    pub line: usize,
    /// Its tables.
    pub table: String,
    /// Its cache.
    pub cache: String,
    /// What it came to, as the metrics count it.
    pub outcome: &'static str,
    /// Why, where that is not plain.
    pub why: Option<String>,
    /// What it makes invalid.
    pub targets: Vec<Target>,
}

/// Explains an event; nothing else happens.
pub fn explain(received: &Received<'_>, rules: &Rules) -> Explanation {
    let decision = decide(received, rules);
    let parsed = detect::parse(received, &rules.reading).ok();
    let (format, place) = match &parsed {
        Some(parsed) => (Some(parsed.format), parsed.place),
        None => (None, Place::default()),
    };
    let changes = parsed.into_iter().flat_map(|parsed| parsed.changes);
    Explanation {
        format,
        place,
        changes: changes.map(|change| tell(change, rules)).collect(),
        decision,
    }
}

fn tell(change: Change, rules: &Rules) -> Told {
    let nothing = |why: String| Told {
        nothing: Some(why),
        ..Told::default()
    };
    match change {
        Change::Nothing(why) => nothing(why.to_owned()),
        Change::Lost(why) => nothing(format!("everything is cleared: {why}")),
        Change::Malformed(malformed) => nothing(format!("it cannot be read: {malformed}")),
        Change::Named(_) => Told::default(),
        Change::Row(change) => {
            let lines = map(&change, rules).into_iter().map(|verdict| {
                let rule = &rules.all[verdict.rule];
                let (outcome, why) = outcome(verdict.outcome);
                RuleLine {
                    line: rule.line,
                    table: rule.table.to_string(),
                    cache: rule.cache.to_string(),
                    outcome,
                    why,
                    targets: verdict.targets,
                }
            });
            let rules: Vec<_> = lines.collect();
            let nobody = rules.is_empty();
            Told {
                rules,
                nothing: nobody.then(|| format!("no rule is about {}", change.table)),
                row: Some((change.table, change.op)),
            }
        }
    }
}

fn outcome(outcome: Outcome) -> (&'static str, Option<String>) {
    match outcome {
        Outcome::Mapped => ("mapped", None),
        Outcome::Ignored(why) => ("ignored", Some(why.to_owned())),
        Outcome::Missing(missing, policy) => {
            let then = match policy {
                OnMissing::Error => "it becomes a dead letter, and the cache is cleared",
                OnMissing::Flush => "the cache is cleared",
                OnMissing::FlushTag(_) => "the tag of `flush_tag` is cleared, or else the cache",
                OnMissing::Skip => "the template is left out",
            };
            ("missing_column", Some(format!("{missing}; {then}")))
        }
    }
}

impl Explanation {
    /// The same for programs. Fields are added over time, never taken away: those of
    /// the first change stand beside `changes` as well, for readers of single changes.
    pub fn json(&self) -> Value {
        let changes: Vec<_> = self.changes.iter().map(Told::json).collect();
        let first = match self.changes.first() {
            Some(first) => first.json(),
            None => Told::default().json(),
        };
        let place = self.place.parts();
        let place: Map<_, _> = place
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let mut all = json!({
            "format": self.format.map(Format::word),
            "place": place,
            "changed_ms": self.decision.changed_ms,
            "changes": changes,
            "dead_letter": self.decision.letter.as_ref().map(|letter| &letter.why),
            "invalidates": self.decision.targets.iter().map(target_json).collect::<Vec<_>>(),
        });
        if let (Value::Object(all), Value::Object(first)) = (&mut all, first) {
            all.extend(first);
        }
        all
    }
}

impl Told {
    fn json(&self) -> Value {
        let rules: Vec<_> = self.rules.iter().map(RuleLine::json).collect();
        json!({
            "table": self.row.as_ref().map(|(table, _)| table.to_string()),
            "op": self.row.as_ref().map(|(_, op)| op.word()),
            "rules": rules,
            "nothing": self.nothing,
        })
    }
}

impl RuleLine {
    fn json(&self) -> Value {
        json!({
            "line": self.line,
            "table": self.table,
            "cache": self.cache,
            "outcome": self.outcome,
            "why": self.why,
            "invalidates": self.targets.iter().map(target_json).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = self.format.map_or("unknown", Format::word);
        writeln!(f, "format       {format}")?;
        if !self.place.is_unknown() {
            let place: Vec<_> = self.place.parts().collect();
            let place = place.iter().map(|(name, value)| format!("{name} {value}"));
            writeln!(f, "place        {}", place.collect::<Vec<_>>().join(", "))?;
        }
        for change in &self.changes {
            change.fmt(f)?;
        }
        if let Some(letter) = &self.decision.letter {
            writeln!(f, "dead letter  {}", letter.why)?;
        }
        for target in &self.decision.targets {
            let (cache, kind, text) = parts(target);
            writeln!(f, "invalidates  {cache} {kind} {text}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((table, op)) = &self.row {
            writeln!(f, "table        {table}")?;
            writeln!(f, "operation    {}", op.word())?;
        }
        if let Some(why) = &self.nothing {
            writeln!(f, "nothing      {why}")?;
        }
        for rule in &self.rules {
            let RuleLine {
                line,
                table,
                cache,
                outcome,
                ..
            } = rule;
            writeln!(f, "rule         line {line}: {table} -> {cache}: {outcome}")?;
            if let Some(why) = &rule.why {
                writeln!(f, "             {why}")?;
            }
        }
        Ok(())
    }
}

fn target_json(target: &Target) -> Value {
    let (cache, kind, text) = parts(target);
    json!({"cache": cache, kind: text})
}

fn parts(target: &Target) -> (&str, &'static str, String) {
    match target {
        Target::Key { cache, key } => (
            cache.as_str(),
            "key",
            String::from_utf8_lossy(key).into_owned(),
        ),
        Target::Tag { cache, tag } => (cache.as_str(), "tag", tag.to_string()),
        Target::Bucket(_) => unreachable!("no event names a bucket"),
    }
}
