//! The command line: what people and service managers say, and what they hear.
//!
//! Data goes to standard output, words about it to standard error.

pub mod dev;
pub mod doctor;
pub mod exit;
pub mod figures;
pub mod file;
pub mod get;
pub mod hot;
pub mod inspect;
pub mod invalidate;
pub mod key;
pub mod paper;
pub mod reach;
pub mod say;
pub mod scrape;
pub mod serve;
pub mod set;
pub mod show;
pub mod stat;
pub mod top;
pub mod watch;

use crate::app::VERSION;
use crate::cli::say::{Ended, Format, Way};
use cache_core::config::overrides::Override;
use cache_core::ops::exit::Exit;
use cache_core::ops::manager::Variables;
use cache_core::ops::telemetry;
use clap::{CommandFactory, Parser, Subcommand};

pub use crate::cli::file::given;

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
    /// For people or for programs
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    output: Format,
    /// See no-color.org
    #[arg(long, global = true, env = "NO_COLOR", hide = true)]
    #[arg(num_args = 0..=1, default_missing_value = "1")]
    no_color: Option<String>,
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
    /// Look at a configuration
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Ask for a key
    Get(get::Args),
    /// Offer a value for a key
    Set(set::Args),
    /// Make keys, tags or a whole cache invalid everywhere
    Invalidate(invalidate::Args),
    /// Show what becomes invalid, as it happens
    Watch(watch::Args),
    /// Explain how a key is answered, and why
    Inspect(inspect::Args),
    /// Name the keys that are asked for most
    Hot(hot::Args),
    /// Connect to everything, and say what is wrong and how to mend it
    Doctor(doctor::Args),
    /// Print a line a second: hit rates, loads, lag
    Stat(stat::Args),
    /// Show a dashboard in the terminal
    Top(top::Args),
    /// Print what a shell completes the arguments with
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Show every key in effect and who says so, without passwords
    Show(file::File),
}

const EXIT_CODES: &str = "\
Examples:
  cache-agent dev
  cache-agent check --config agent.toml
  cache-agent serve --config agent.toml

Exit codes: 0 ended as asked, 1 failed, 2 wrong arguments or configuration,
3 a check found problems, 4 Redis, NATS or the agent cannot be reached, 5 there
is nothing of what was asked for, 130 or 143 ended at once by a second SIGINT or
SIGTERM.";

impl Cli {
    /// Does what the arguments say, with what is `given` in place of a file's keys; a service
    /// tells it to the `manager` that started it.
    pub async fn run(self, given: Vec<Override>, manager: &Variables) -> ExitCode {
        let terminal = std::io::stderr().is_terminal();
        let code = match self.command {
            Command::Check { config } => serve::check(&config, &given),
            Command::Serve { config } => {
                let log = telemetry::start(self.log.as_deref(), terminal);
                serve::run(&config, given, manager, log).await
            }
            Command::Dev(args) => {
                // The page tells what happens; the log only what goes wrong.
                telemetry::start(Some(self.log.as_deref().unwrap_or("warn")), terminal);
                dev::run(args).await
            }
            command => say::ended({
                let way = Way {
                    format: self.output,
                    coloured: say::to_people() && self.no_color.is_none_or(|text| text.is_empty()),
                    given,
                };
                client(command, &way).await
            }),
        };
        code.into()
    }
}

/// The commands that look at something that is there, and end.
async fn client(command: Command, way: &Way) -> Ended {
    let format = way.format;
    match command {
        Command::Config {
            what: ConfigCommand::Show(file),
        } => show::run(&file.read(&way.given)?.1, format),
        Command::Get(args) => get::run(&args, format).await,
        Command::Set(args) => set::run(&args, format).await,
        Command::Invalidate(args) => invalidate::run(&args, format).await,
        Command::Watch(args) => watch::run(&args, format).await,
        Command::Inspect(args) => inspect::run(&args, format).await,
        Command::Hot(args) => hot::run(&args, format).await,
        Command::Doctor(args) => doctor::run(&args, way).await,
        Command::Top(args) => top::run(&args, way).await,
        Command::Completions { shell } => paper::completions(&mut Cli::command(), shell),
        Command::Man => paper::man(&mut Cli::command()),
        Command::Stat(args) => stat::run(&args, format).await,
        // They say by themselves how they end.
        Command::Serve { .. } | Command::Check { .. } | Command::Dev(_) => Ok(Exit::Done),
    }
}
