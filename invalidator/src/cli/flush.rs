//! `invalidator flush`.

use crate::cli::exit::{complain, say};
use crate::cli::files::Files;
use crate::config::{RulesFile, Service};
use crate::operate::announce::{announce, join};
use crate::operate::judged::named;
use crate::operate::target;
use crate::rules::Rules;
use cache_core::config::report::nearest;
use cache_core::model::key::Name;
use cache_core::ops::exit::Exit;
use cache_core::wire::invalidation::Target;

/// The arguments of `flush`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    what: What,
    /// A cache that the rules file does not name is meant all the same
    #[arg(long)]
    unlisted: bool,
    /// Really, for a whole cache
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    files: Files,
}

/// What is to go; each may be given several times.
#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct What {
    /// A whole cache
    #[arg(long = "cache", value_name = "CACHE", value_parser = target::cache)]
    caches: Vec<Target>,
    /// What has this tag
    #[arg(long = "tag", value_name = "CACHE:TAG", value_parser = target::tag)]
    tags: Vec<Target>,
    /// One key
    #[arg(long = "key", value_name = "CACHE:KEY", value_parser = target::key)]
    keys: Vec<Target>,
}

const HELP: &str = "\
Examples:
  invalidator flush --key users:user:7 --config invalidator.toml --rules rules.toml
  invalidator flush --tag users:team:3 --config invalidator.toml --rules rules.toml
  invalidator flush --cache users --yes --config invalidator.toml --rules rules.toml

It is done when the command ends: L2 has applied it, and every process has been told. It
does not wait behind the stream's backlog, and works while the invalidators are paused.";

/// Announces what was asked for.
pub async fn run(args: &Args) -> Exit {
    let What { caches, tags, keys } = &args.what;
    if !caches.is_empty() && !args.yes {
        complain(&"a whole cache becomes cold; `invalidator bump --cache` tells what that means");
        complain(&"nothing was done; say --yes");
        return Exit::Usage;
    }
    let targets: Vec<_> = [caches, tags, keys]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let flush = async |service: Service, file: RulesFile| {
        if !args.unlisted && !are_listed(&targets, &file.rules) {
            return Ok(Exit::Usage);
        }
        let domain = join(&service).await?;
        let announced = announce(&domain, &targets).await;
        domain.leave().await;
        announced?;
        let mut text = String::new();
        for target in &targets {
            let (kind, name) = named(target);
            text += &format!("gone everywhere: {kind} {name}\n");
        }
        Ok(say(&text))
    };
    args.files.with(flush).await
}

/// A name mistyped would flush nothing, and look done.
pub(super) fn are_listed(targets: &[Target], rules: &Rules) -> bool {
    let known = rules.caches();
    let unknown = |target: &&Target| !known.contains(target::cache_of(target));
    let Some(unknown) = targets.iter().find(unknown) else {
        return true;
    };
    let name = target::cache_of(unknown);
    let near = nearest(name.as_str(), known.iter().map(Name::as_str));
    let hint = near.map_or_else(
        || "say --unlisted if it is right".to_owned(),
        |near| format!("did you mean `{near}`? Else say --unlisted"),
    );
    complain(&format_args!("the rules name no cache `{name}`; {hint}"));
    false
}
