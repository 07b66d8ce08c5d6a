//! What the rules make of one event, for people and for programs.

use crate::change::{Change, Format, Op, TableName};
use crate::decide::{Decision, decide};
use crate::format::detect;
use crate::mapping::{Outcome, map};
use crate::rules::{OnMissing, Rules};
use cache_core::wire::invalidation::Target;
use serde_json::{Value, json};
use std::fmt;

/// What the rules make of one event.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The format, if it could be told.
    pub format: Option<Format>,
    /// The table and what was done to it, if the event is about one.
    pub row: Option<(TableName, Op)>,
    /// One line for every rule about the table.
    pub rules: Vec<RuleLine>,
    /// Why nobody depends on it, if that is so.
    pub nothing: Option<String>,
    /// What becomes of it, as `serve` decides it.
    pub decision: Decision,
}

/// What one rule made of an event.
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
pub fn explain(payload: &[u8], rules: &Rules) -> Explanation {
    let mut explanation = Explanation {
        format: None,
        row: None,
        rules: Vec::new(),
        nothing: None,
        decision: decide(payload, rules),
    };
    let Ok(parsed) = detect::parse(payload) else {
        return explanation;
    };
    explanation.format = Some(parsed.format);
    match parsed.change {
        Change::Nothing(why) => explanation.nothing = Some(why.to_owned()),
        Change::Lost(why) => explanation.nothing = Some(format!("everything is cleared: {why}")),
        Change::Named(_) => {}
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
            explanation.rules = lines.collect();
            if explanation.rules.is_empty() {
                explanation.nothing = Some(format!("no rule is about {}", change.table));
            }
            explanation.row = Some((change.table, change.op));
        }
    }
    explanation
}

fn outcome(outcome: Outcome) -> (&'static str, Option<String>) {
    match outcome {
        Outcome::Mapped => ("mapped", None),
        Outcome::Ignored(why) => ("ignored", Some(why.to_owned())),
        Outcome::Missing(missing, policy) => {
            let then = match policy {
                OnMissing::Error => "it becomes a dead letter, and the cache is cleared",
                OnMissing::Flush => "the cache is cleared",
                OnMissing::Skip => "the template is left out",
            };
            ("missing_column", Some(format!("{missing}; {then}")))
        }
    }
}

impl Explanation {
    /// The same for programs. Fields are added over time, never taken away.
    pub fn json(&self) -> Value {
        let rules: Vec<_> = self.rules.iter().map(RuleLine::json).collect();
        json!({
            "format": self.format.map(Format::word),
            "table": self.row.as_ref().map(|(table, _)| table.to_string()),
            "op": self.row.as_ref().map(|(_, op)| op.word()),
            "changed_ms": self.decision.changed_ms,
            "rules": rules,
            "nothing": self.nothing,
            "dead_letter": self.decision.letter.as_ref().map(|letter| &letter.why),
            "invalidates": self.decision.targets.iter().map(target_json).collect::<Vec<_>>(),
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
