//! The command line: what people and service managers say, and what they hear.
//!
//! Data goes to standard output, words about it to standard error.

pub mod dev;
pub mod exit;
pub mod serve;

use crate::app::VERSION;
use cache_core::ops::manager::Variables;
use cache_core::ops::telemetry;
use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

/// The sidecar of the two-tier cache: gRPC for services in any language.
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
    /// Serve over Redis and NATS
    Serve {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration file, and do nothing else
    Check {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Run all of it in this process, with nothing installed
    Dev(dev::Args),
}

const EXIT_CODES: &str = "\
Examples:
  cache-agent dev
  cache-agent check --config agent.toml
  cache-agent serve --config agent.toml

Exit codes: 0 ended as asked, 1 failed, 2 wrong arguments or configuration,
3 check found problems, 4 Redis or NATS cannot be reached, 130 or 143 ended at
once by a second SIGINT or SIGTERM.";

impl Cli {
    /// Does what the arguments say; a service tells it to the `manager` that started it.
    pub async fn run(self, manager: &Variables) -> ExitCode {
        let terminal = std::io::stderr().is_terminal();
        let code = match self.command {
            Command::Check { config } => serve::check(&config),
            Command::Serve { config } => {
                let log = telemetry::start(self.log.as_deref(), terminal);
                serve::run(&config, manager, log).await
            }
            Command::Dev(args) => {
                // The page tells what happens; the log only what goes wrong.
                telemetry::start(Some(self.log.as_deref().unwrap_or("warn")), terminal);
                dev::run(args).await
            }
        };
        code.into()
    }
}
