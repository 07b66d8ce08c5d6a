//! `invalidator test`.

use crate::cli::exit::{complain, read, say};
use crate::config;
use crate::format::detect::EVENT_BYTES_MAX;
use crate::operate::expect::{self, Outcome, Source, Test};
use crate::rules::Rules;
use bytes::Bytes;
use cache_core::ops::exit::Exit;
use serde_json::json;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The arguments of `test`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The file of tests
    tests: PathBuf,
    /// The rules to test [default: what `rules` in the file names, beside it]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// For programs: one object
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Example:
  invalidator test rules_test.toml

where rules_test.toml says
  rules = \"rules.toml\"
  [[test]]
  name = \"a new user\"
  event = '''{\"op\": \"c\", \"after\": {\"id\": 7},
    \"source\": {\"schema\": \"public\", \"table\": \"users\"}}'''
  keys = [\"users:user:7\"]

Instead of `keys` and `tags`: ignored = true, or dead_letter = \"a part of the reason\". It
connects to nothing. Exit code 3 if a test fails; a line with - is missing, and one with +
was not expected.";

/// Runs the tests, and tells of each.
pub fn run(args: &Args) -> Exit {
    match test(args) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn test(args: &Args) -> Result<Exit, Exit> {
    let wrong = |exit| match exit {
        // Problems are what tests find; a file that cannot be read is none of them.
        Exit::Problems => Exit::Usage,
        exit => exit,
    };
    let tests = read(&args.tests, expect::parse).map_err(wrong)?;
    let beside = args.tests.parent().unwrap_or(Path::new(""));
    let named = tests.rules.map(|rules| beside.join(rules));
    let Some(rules) = args.rules.clone().or(named) else {
        complain(&"which rules? Say `rules = \"rules.toml\"` in the file, or --rules");
        return Err(Exit::Usage);
    };
    let rules = read(&rules, config::rules).map_err(wrong)?.rules;
    let run = |test: &Test| outcome(test, beside, &rules);
    let outcomes = tests.all.iter().map(run).collect::<Result<Vec<_>, _>>()?;
    let failed = outcomes.iter().filter(|one| !one.is_passed()).count();
    let text = match args.json {
        true => {
            let all: Vec<_> = outcomes.iter().map(Outcome::json).collect();
            format!("{:#}\n", json!({ "failed": failed, "tests": all }))
        }
        false => {
            let lines: String = outcomes.iter().map(|one| format!("{one}\n")).collect();
            format!("{lines}{} tests, {failed} failed\n", outcomes.len())
        }
    };
    Ok(match say(&text) {
        Exit::Done if failed > 0 => Exit::Problems,
        exit => exit,
    })
}

fn outcome(test: &Test, beside: &Path, rules: &Rules) -> Result<Outcome, Exit> {
    let event = match &test.event {
        Source::Inline(text) => Bytes::from(text.clone()),
        Source::File(file) => load(&beside.join(file)).map_err(|error| {
            let file = file.display();
            complain(&format_args!("{}: cannot read {file}: {error}", test.name));
            Exit::Usage
        })?,
    };
    Ok(test.run(event, rules))
}

fn load(file: &Path) -> std::io::Result<Bytes> {
    let mut event = Vec::new();
    // One byte more than the limit shows that it is over it.
    let limit = EVENT_BYTES_MAX as u64 + 1;
    File::open(file)?.take(limit).read_to_end(&mut event)?;
    Ok(event.into())
}
