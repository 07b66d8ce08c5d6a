//! `invalidator serve`.

use crate::app;
use crate::cli::exit::complain;
use crate::cli::files::Files;
use crate::cli::life::live;
use cache_core::ops::exit::Exit;
use cache_core::ops::manager::{Manager, Variables};

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

/// Serves until it is asked to end, and tells the `manager` that started it.
pub async fn run(args: &Args, manager: &Variables) -> Exit {
    let (service, rules) = match args.files.read() {
        Ok(files) => files,
        Err(exit) => return exit,
    };
    let manager = match Manager::new(manager, std::process::id()) {
        Ok(manager) => manager,
        Err(error) => {
            complain(&format_args!(
                "cannot reach the service manager at NOTIFY_SOCKET: {error}"
            ));
            return Exit::Failed;
        }
    };
    live(service.admin, |admin, stop| {
        app::live(service, rules, admin, manager, stop)
    })
    .await
}
