//! `invalidator setup`.

use crate::cli::exit::say;
use crate::cli::files::Files;
use crate::config::{RulesFile, Service};
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
    let make = async |service: Service, rules: RulesFile| {
        let link = Link::connect(&service.events, "invalidator setup").await?;
        let items = setup(&link, &service, &rules, args.dry_run).await?;
        let text = match args.json {
            true => {
                let all: Vec<_> = items.iter().map(|item| item.json()).collect();
                format!("{:#}\n", json!({ "items": all }))
            }
            false => items.iter().map(|item| format!("{item}\n")).collect(),
        };
        Ok(match say(&text) {
            Exit::Done if items.iter().any(|item| item.is_problem()) => Exit::Problems,
            exit => exit,
        })
    };
    args.files.with(make).await
}
