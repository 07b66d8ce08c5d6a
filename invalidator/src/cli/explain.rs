//! `invalidator explain`.

use crate::cli::exit::{complain, read, say};
use crate::config;
use crate::explain::explain;
use crate::format::detect::EVENT_BYTES_MAX;
use crate::format::received::Received;
use cache_core::ops::exit::Exit;
use std::io::{self, Read};
use std::path::PathBuf;

/// The arguments of `explain`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The rules file
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// The subject that the event was published on
    #[arg(long, default_value = "")]
    subject: String,
    /// A header of the event, as `name: value`; may be repeated
    #[arg(long, value_name = "HEADER", value_parser = header)]
    header: Vec<(String, String)>,
    /// How to show it
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

const HELP: &str = "\
Example:
  invalidator explain --rules rules.toml < event.json

Exit code 3 if the event would become a dead letter.";

/// How data is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    Text,
    /// For programs: one object
    Json,
}

/// Explains the event on standard input.
pub fn run(args: &Args) -> Exit {
    let rules = match read(&args.rules, config::rules) {
        Ok(file) => file.rules,
        Err(Exit::Problems) => return Exit::Usage,
        Err(exit) => return exit,
    };
    let mut event = Vec::new();
    // One byte more than the limit shows that it is over it.
    let mut input = io::stdin().lock().take(EVENT_BYTES_MAX as u64 + 1);
    if let Err(error) = input.read_to_end(&mut event) {
        complain(&format_args!("cannot read the event: {error}"));
        return Exit::Failed;
    }
    let received = Received {
        subject: &args.subject,
        headers: &args.header,
        payload: &event,
    };
    let explanation = explain(&received, &rules);
    let text = match args.output {
        Output::Text => explanation.to_string(),
        Output::Json => format!("{:#}\n", explanation.json()),
    };
    match (say(&text), &explanation.decision.letter) {
        (Exit::Done, Some(_)) => Exit::Problems,
        (exit, _) => exit,
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) => Ok((name.trim().to_owned(), value.trim().to_owned())),
        None => Err("write a header as `name: value`".to_owned()),
    }
}
