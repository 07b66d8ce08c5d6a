//! `invalidator bump`.

use crate::cli::exit::{complain, say};
use crate::cli::files::Files;
use crate::cli::flush::are_listed;
use crate::config::{RulesFile, Service};
use crate::operate::announce::{announce, join};
use crate::operate::target::{self, cache_of};
use crate::operate::{epoch, runbook};
use cache_core::ops::exit::Exit;
use cache_core::wire::invalidation::Target;
use std::slice;

/// The arguments of `bump`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    what: What,
    /// Really
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    files: Files,
}

#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Refuse every value of one cache from before now
    #[arg(long, value_name = "CACHE", value_parser = target::cache)]
    cache: Option<Target>,
    /// Refuse every value of every cache: after the database was restored
    #[arg(long)]
    epoch: bool,
}

const HELP: &str = "\
Examples:
  invalidator bump --cache users --config invalidator.toml --rules rules.toml
  invalidator bump --epoch --yes --config invalidator.toml --rules rules.toml

Without --yes it tells what would happen, what load to expect, and how to see that it is
done; and does nothing.";

/// Tells what it means, and does it if that is really meant.
pub async fn run(args: &Args) -> Exit {
    let text = match &args.what.cache {
        Some(cache) => runbook::of_cache(cache_of(cache).as_str()),
        None => runbook::of_epoch(),
    };
    let told = say(&text);
    if told != Exit::Done {
        return told;
    }
    if !args.yes {
        complain(&"nothing was done; say --yes");
        return Exit::Usage;
    }
    let bump = async |service: Service, file: RulesFile| {
        if let Some(cache) = &args.what.cache
            && !are_listed(slice::from_ref(cache), &file.rules)
        {
            return Ok(Exit::Usage);
        }
        let domain = join(&service).await?;
        let bumped = match &args.what.cache {
            Some(cache) => announce(&domain, slice::from_ref(cache))
                .await
                .map(|()| format!("Cleared: {}.\n", cache_of(cache))),
            None => epoch::raise(&domain, file.source.epoch)
                .await
                .map(|epoch| format!("The epoch is {epoch}.\n")),
        };
        domain.leave().await;
        Ok(say(&format!("\n{}", bumped?)))
    };
    args.files.with(bump).await
}
