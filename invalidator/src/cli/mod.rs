//! The command line: what people and service managers say, and what they hear.
//!
//! Data goes to standard output, words about it to standard error.

pub mod capture;
pub mod check;
pub mod exit;
pub mod explain;
pub mod life;
pub mod schema;
pub mod serve;

use crate::metrics::VERSION;
use cache_core::ops::telemetry;
use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;

/// Turns change events of a database into invalidations of every cache tier.
#[derive(Debug, Parser)]
#[command(version = VERSION, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to log, as in `info,cache_core=debug`
    #[arg(long, env = "RUST_LOG", global = true, value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read events and announce what they make invalid
    Serve(serve::Args),
    /// Write the changes of a database into the stream, as events
    Capture(capture::Args),
    /// Check a rules file, and do nothing else
    Check(check::Args),
    /// Show what the rules make of one event, given on standard input
    Explain(explain::Args),
    /// Print the JSON schema of the rules file, for editors
    Schema,
}

const EXIT_CODES: &str = "\
Examples:
  invalidator check rules.toml
  invalidator explain --rules rules.toml < event.json
  invalidator schema > rules.schema.json
  invalidator serve --config invalidator.toml --rules rules.toml
  invalidator capture postgres --config capture.toml

Exit codes: 0 ended as asked, 1 failed, 2 wrong arguments or configuration,
3 check or explain found problems, 4 Redis or NATS cannot be reached, 130 or 143
ended at once by a second SIGINT or SIGTERM.";

impl Cli {
    /// Does what the arguments say.
    pub async fn run(self) -> ExitCode {
        let code = match self.command {
            Command::Check(args) => check::run(&args).await,
            Command::Explain(args) => explain::run(&args),
            Command::Capture(args) => {
                telemetry::start(self.log.as_deref(), std::io::stderr().is_terminal());
                capture::run(args).await
            }
            Command::Schema => schema::run(),
            Command::Serve(args) => {
                telemetry::start(self.log.as_deref(), std::io::stderr().is_terminal());
                serve::run(&args).await
            }
        };
        code.into()
    }
}
