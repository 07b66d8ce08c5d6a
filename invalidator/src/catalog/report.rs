//! What was found, for people.

use crate::catalog::judge::{Finding, Weight};
use std::fmt::Write;

/// One line for each finding, and one for what mends it; then how many problems there are.
pub fn report(file: &str, findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.weight {
            Weight::Fine => "ok",
            Weight::Note => "note",
            Weight::Problem => "PROBLEM",
        };
        let Finding {
            line,
            subject,
            what,
            mend,
            ..
        } = finding;
        // Writing into a string does not fail.
        let _ = writeln!(text, "{mark:<7} {file}:{line} {subject}: {what}");
        if let Some(mend) = mend {
            let _ = writeln!(text, "        {mend}");
        }
    }
    let problems = problems(findings);
    let noun = if problems == 1 { "problem" } else { "problems" };
    let _ = writeln!(text, "{problems} {noun} with the database");
    text
}

/// How many problems there are.
pub fn problems(findings: &[Finding]) -> usize {
    let is_problem = |finding: &&Finding| finding.weight == Weight::Problem;
    findings.iter().filter(is_problem).count()
}
