//! The report of a course: for people in Markdown, for programs in JSON.

use super::Seat;
use super::faults::Fault;
use crate::lags::{Lags, Shares};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// How soon everything is normal again after a fault.
const RECOVERY_MAX_MS: u64 = 5_000;
/// On a good day, 99 % and 99.9 % of changes reach the last L1 within this.
const CALM_P99_MS: f64 = 20.0;
const CALM_P999_MS: f64 = 50.0;
/// The reads that a long course must judge.
const READS_MIN: u64 = 10_000_000;

/// What one fault came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phase {
    pub(crate) fault: String,
    pub(crate) bound_ms: u64,
    pub(crate) seconds: f64,
    pub(crate) recovery_ms: Option<u64>,
    /// What was not right when everything had come to rest.
    pub(crate) wrong: Vec<String>,
    pub(crate) to_l1: Lags,
    pub(crate) to_l2: Lags,
    pub(crate) told: Vec<String>,
    /// The commits so far.
    commits: u64,
    reads: u64,
    l1: u64,
    l2: u64,
    source: u64,
    behind: u64,
    worst_us: u64,
    errors: u64,
    broken: BTreeMap<String, u64>,
}

/// What a whole course came to.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) phases: Vec<Phase>,
}

impl Phase {
    pub(crate) fn new(fault: Fault, commits: u64) -> Self {
        Self {
            fault: fault.name(),
            bound_ms: fault.bound().as_millis() as u64,
            commits,
            ..Self::default()
        }
    }

    /// Adds what one process says.
    pub(crate) fn add(&mut self, seat: Seat, said: &Value) {
        let number = |name: &str| said[name].as_u64().unwrap_or_default();
        self.reads += number("reads");
        self.l1 += number("l1");
        self.l2 += number("l2");
        self.source += number("source");
        self.behind += number("behind");
        self.worst_us = self.worst_us.max(number("worst_us"));
        self.errors += number("errors");
        for (name, count) in said["broken"].as_object().into_iter().flatten() {
            *self.broken.entry(name.clone()).or_default() += count.as_u64().unwrap_or_default();
        }
        let told = said["told"].as_array().into_iter().flatten();
        let told = told.filter_map(|what| Some(format!("{seat:?}: {}", what.as_str()?)));
        self.told.extend(told);
    }

    /// How many reads broke an invariant, and what was wrong at rest.
    pub(crate) fn violations(&self) -> u64 {
        self.broken.values().sum::<u64>() + self.wrong.len() as u64
    }

    /// One line, while the course goes on.
    pub(crate) fn line(&self) -> String {
        let Self {
            fault,
            reads,
            behind,
            errors,
            ..
        } = self;
        format!(
            "{fault}: {reads} reads, {behind} behind (worst {:.1} ms), {} violations, \
             {errors} errors, normal after {}; to the last L1 {}",
            self.worst_us as f64 / 1e3,
            self.violations(),
            self.recovery(),
            self.to_l1.shares(),
        )
    }

    fn recovery(&self) -> String {
        let ms = self.recovery_ms.map(|ms| format!("{ms} ms"));
        ms.unwrap_or_else(|| "never".to_owned())
    }

    fn complaints(&self, long: bool) -> Vec<String> {
        let fault = &self.fault;
        let mut complaints = Vec::new();
        for (name, count) in &self.broken {
            complaints.push(format!("{fault}: {count} reads broke {name}"));
        }
        complaints.extend(self.wrong.iter().map(|what| format!("{fault}: {what}")));
        if self.errors > 0 {
            complaints.push(format!(
                "{fault}: {} reads ended with an error",
                self.errors
            ));
        }
        if !complaints.is_empty() {
            complaints.extend(self.told.iter().cloned());
        }
        if self.recovery_ms.is_none_or(|ms| ms > RECOVERY_MAX_MS) {
            complaints.push(format!("{fault}: normal after {}", self.recovery()));
        }
        let Shares { p99, p999, .. } = self.to_l1.shares();
        if long && self.fault == "calm" && (p99 > CALM_P99_MS || p999 > CALM_P999_MS) {
            complaints.push(format!("{fault}: to the last L1 {}", self.to_l1.shares()));
        }
        complaints
    }
}

impl Report {
    /// Everything that is not as promised.
    pub(crate) fn complaints(&self, long: bool) -> Vec<String> {
        let merged = self.by_fault();
        let mut complaints: Vec<_> = merged.iter().flat_map(|one| one.complaints(long)).collect();
        if long && self.reads() < READS_MIN {
            complaints.push(format!("only {} reads were judged", self.reads()));
        }
        complaints
    }

    fn reads(&self) -> u64 {
        self.phases.iter().map(|phase| phase.reads).sum()
    }

    /// The phases of each fault as one, in the order of their first.
    fn by_fault(&self) -> Vec<Phase> {
        let mut merged: Vec<Phase> = Vec::new();
        for phase in &self.phases {
            match merged.iter_mut().find(|one| one.fault == phase.fault) {
                Some(one) => one.merge(phase),
                None => merged.push(phase.clone()),
            }
        }
        merged
    }

    /// Writes `chaos.md` and `chaos.json`.
    pub(crate) fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder).expect("a folder for the report");
        let files = [
            ("chaos.md", self.markdown()),
            ("chaos.json", format!("{:#}\n", self.json())),
        ];
        for (name, text) in files {
            std::fs::write(folder.join(name), text).expect("the report is written");
        }
    }

    /// For people.
    pub(crate) fn markdown(&self) -> String {
        let seconds: f64 = self.phases.iter().map(|phase| phase.seconds).sum();
        let commits = self.phases.iter().map(|phase| phase.commits).max();
        let violations: u64 = self.phases.iter().map(Phase::violations).sum();
        let errors: u64 = self.phases.iter().map(|phase| phase.errors).sum();
        let reads = self.reads();
        let mut text = format!(
            "# Chaos on real servers\n\n\
             {reads} reads judged and {} commits in {:.1} minutes, {} strikes: {violations} \
             violations, {errors} errors. With none in N, fewer than 3/N reads are wrong, \
             by 95 %: {:.1e}.\n\n\
             Lags in milliseconds, from the commit: p50 / p99 / p99.9 / max. Behind: reads of \
             a row whose change was in the stream already.\n\n\
             | fault | strikes | reads | L1, L2, source % | behind | worst ms | bound ms | \
             violations | normal after ms | to L2 | to the last L1 |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
            commits.unwrap_or(0),
            seconds / 60.0,
            self.phases.len(),
            3.0 / reads.max(1) as f64,
        );
        for phase in self.by_fault() {
            let strikes = self.phases.iter().filter(|one| one.fault == phase.fault);
            text.push_str(&phase.row(strikes.count()));
        }
        text
    }

    fn json(&self) -> Value {
        let phases = self.by_fault();
        let phases: Vec<_> = phases.iter().map(Phase::json).collect();
        json!({ "reads": self.reads(), "bound_95": 3.0 / self.reads().max(1) as f64, "faults": phases })
    }
}

impl Phase {
    fn merge(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.recovery_ms = self
            .recovery_ms
            .zip(other.recovery_ms)
            .map(|(a, b)| a.max(b));
        self.wrong.extend(other.wrong.iter().cloned());
        self.to_l1.0.extend(&other.to_l1.0);
        self.to_l2.0.extend(&other.to_l2.0);
        self.told.extend(other.told.iter().cloned());
        self.commits = self.commits.max(other.commits);
        self.reads += other.reads;
        self.l1 += other.l1;
        self.l2 += other.l2;
        self.source += other.source;
        self.behind += other.behind;
        self.worst_us = self.worst_us.max(other.worst_us);
        self.errors += other.errors;
        for (name, count) in &other.broken {
            *self.broken.entry(name.clone()).or_default() += count;
        }
    }

    fn row(&self, strikes: usize) -> String {
        let share = |part: u64| 100.0 * part as f64 / self.reads.max(1) as f64;
        let four = |lags: &Lags| {
            let Shares {
                p50,
                p99,
                p999,
                max,
                ..
            } = lags.shares();
            format!("{p50:.1} / {p99:.1} / {p999:.1} / {max:.1}")
        };
        let recovery = self.recovery_ms.map(|ms| ms.to_string());
        format!(
            "| {} | {strikes} | {} | {:.1}, {:.1}, {:.1} | {} | {:.1} | {} | {} | {} | {} | {} |\n",
            self.fault,
            self.reads,
            share(self.l1),
            share(self.l2),
            share(self.source),
            self.behind,
            self.worst_us as f64 / 1e3,
            self.bound_ms,
            self.violations(),
            recovery.unwrap_or_else(|| "never".to_owned()),
            four(&self.to_l2),
            four(&self.to_l1),
        )
    }

    fn json(&self) -> Value {
        let lags = |lags: &Lags| {
            let Shares {
                count,
                p50,
                p99,
                p999,
                max,
            } = lags.shares();
            json!({ "count": count, "p50": p50, "p99": p99, "p999": p999, "max": max })
        };
        json!({
            "fault": self.fault,
            "seconds": self.seconds,
            "reads": self.reads,
            "l1": self.l1,
            "l2": self.l2,
            "source": self.source,
            "behind": self.behind,
            "worst_ms": self.worst_us as f64 / 1e3,
            "bound_ms": self.bound_ms,
            "errors": self.errors,
            "violations": self.broken,
            "wrong_at_rest": self.wrong,
            "told": self.told,
            "recovery_ms": self.recovery_ms,
            "to_l2_ms": lags(&self.to_l2),
            "to_last_l1_ms": lags(&self.to_l1),
        })
    }
}
