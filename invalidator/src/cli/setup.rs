//! `invalidator setup`.

use crate::cli::exit::{ended_with, say};
use crate::cli::files::Files;
use crate::operate::setup::setup;
use crate::source::Link;
use cache_core::ops::exit::Exit;
use serde_json::json;

/// The arguments of `setup`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    files: Files,
    /// Make nothing, and say what would be made
    #[arg(long)]
    dry_run: bool,
    /// For programs: one object
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Example:
  invalidator setup --config invalidator.toml --rules rules.toml --dry-run

What exists is left as it is. Exit code 3 if something is otherwise than the files say,
or if the stream of events is not there and `create_stream` is not set.";

/// Makes what is missing, and tells what there is.
pub async fn run(args: &Args) -> Exit {
    let (service, rules) = match args.files.read() {
        Ok(files) => files,
        Err(exit) => return exit,
    };
    let made = async {
        let link = Link::connect(&service.events, "invalidator setup").await?;
        setup(&link, &service, &rules, args.dry_run).await
    };
    let items = match made.await {
        Ok(items) => items,
        Err(error) => return ended_with(Err(error)),
    };
    let text = match args.json {
        true => {
            let all: Vec<_> = items.iter().map(|item| item.json()).collect();
            format!("{:#}\n", json!({ "items": all }))
        }
        false => items.iter().map(|item| format!("{item}\n")).collect(),
    };
    match say(&text) {
        Exit::Done if items.iter().any(|item| item.is_problem()) => Exit::Problems,
        exit => exit,
    }
}
