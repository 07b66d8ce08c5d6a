//! The command line: what people and service managers say, and what they hear.
//!
//! Data goes to standard output, words about it to standard error.

pub mod bump;
pub mod capture;
pub mod check;
pub mod dlq;
pub mod exit;
pub mod explain;
pub mod files;
pub mod flush;
pub mod lag;
pub mod life;
pub mod pause;
pub mod replay;
pub mod schema;
pub mod serve;
pub mod setup;
pub mod tail;
pub mod test;

use crate::metrics::VERSION;
use cache_core::ops::manager::Variables;
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
    /// Check the files, and the stream and a database if asked to; change nothing
    Check(check::Args),
    /// Show what the rules make of one event, given on standard input
    Explain(explain::Args),
    /// Hold a rules file against events and what is expected of them
    Test(test::Args),
    /// Print the JSON schema of the rules file, for editors
    Schema,
    /// Make the streams and the consumer, and compare them with the files
    Setup(setup::Args),
    /// Show how far everything is
    Lag(lag::Args),
    /// Show events as they come, with what the rules make of them
    Tail(tail::Args),
    /// Look after events that could not be read
    Dlq(dlq::Args),
    /// Throw out keys, tags or a whole cache, at once
    Flush(flush::Args),
    /// Throw out once more what past events made invalid
    Replay(replay::Args),
    /// Refuse all of a cache, or of every cache, from before now
    Bump(bump::Args),
    /// Have all instances take no events until `resume`
    Pause(pause::PauseArgs),
    /// Have all instances take events again
    Resume(pause::ResumeArgs),
}

const EXIT_CODES: &str = "\
Examples:
  invalidator check rules.toml
  invalidator explain --rules rules.toml < event.json
  invalidator schema > rules.schema.json
  invalidator serve --config invalidator.toml --rules rules.toml
  invalidator capture postgres --config capture.toml
  invalidator lag --config invalidator.toml --rules rules.toml

Exit codes: 0 ended as asked, 1 failed, 2 wrong arguments or configuration,
3 a check found problems, 4 Redis or NATS cannot be reached, 130 or 143
ended at once by a second SIGINT or SIGTERM.";

impl Cli {
    /// Does what the arguments say; a service tells it to the `manager` that started it.
    pub async fn run(self, manager: &Variables) -> ExitCode {
        let usual = match self.command {
            Command::Serve(_) => "info",
            // The end of a connection is told by whoever goes on after it.
            Command::Capture(_) => "info,pgwire_replication=off",
            // Whoever waits for one answer wants to read of nothing but trouble.
            _ => "warn",
        };
        let log = self.log.as_deref().unwrap_or(usual);
        telemetry::start(Some(log), std::io::stderr().is_terminal());
        let code = match self.command {
            Command::Serve(args) => serve::run(&args, manager).await,
            Command::Check(args) => check::run(&args).await,
            Command::Explain(args) => explain::run(&args),
            Command::Capture(args) => capture::run(args).await,
            Command::Schema => schema::run(),
            Command::Test(args) => test::run(&args),
            Command::Setup(args) => setup::run(&args).await,
            Command::Lag(args) => lag::run(&args).await,
            Command::Tail(args) => tail::run(&args).await,
            Command::Dlq(args) => dlq::run(&args).await,
            Command::Flush(args) => flush::run(&args).await,
            Command::Replay(args) => replay::run(&args).await,
            Command::Bump(args) => bump::run(&args).await,
            Command::Pause(args) => pause::pause(&args).await,
            Command::Resume(args) => pause::resume(&args).await,
        };
        code.into()
    }
}
