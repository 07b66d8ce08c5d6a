//! `invalidator serve`.

use crate::app;
use crate::cli::files::Files;
use crate::cli::life::live;
use cache_core::ops::exit::Exit;

/// The arguments of `serve`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    files: Files,
}

const HELP: &str = "\
Example:
  invalidator serve --config invalidator.toml --rules rules.toml

SIGINT and SIGTERM have it finish what is in hand; a second one ends it at once.";

/// Serves until it is asked to end.
pub async fn run(args: &Args) -> Exit {
    let (service, rules) = match args.files.read() {
        Ok(files) => files,
        Err(exit) => return exit,
    };
    live(service.admin, |admin, stop| {
        app::live(service, rules, admin, stop)
    })
    .await
}
