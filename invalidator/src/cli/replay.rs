//! `invalidator replay`.

use crate::cli::exit::{complain, say};
use crate::cli::files::Files;
use crate::cli::tail::From;
use crate::config::{RulesFile, Service};
use crate::operate::announce::join;
use crate::operate::replay::{Order, RATE, Replayed, replay};
use crate::source::Link;
use cache_core::ops::exit::Exit;
use serde_json::json;

/// The arguments of `replay`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    from: From,
    /// The last one [default: the newest there is]
    #[arg(long, value_name = "N")]
    to_seq: Option<u64>,
    /// Events a second at most
    #[arg(long, value_name = "N", default_value_t = RATE,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Announce nothing, and count what would be
    #[arg(long)]
    dry_run: bool,
    /// For programs: one object
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  invalidator replay --since 2h --config invalidator.toml --rules rules.toml
  invalidator replay --from-seq 4711 --to-seq 4800 --config invalidator.toml \\
    --rules rules.toml

Whatever the events of that time make invalid by the rules of the file is thrown out once
more, however young it claims to be, and loaded again when it is wanted. That is harmless at
any time. Nothing is published into the stream.";

/// Announces events of the past once more.
pub async fn run(args: &Args) -> Exit {
    let Some(start) = args.from.start() else {
        complain(&"from where on? Say --since 2h or --from-seq 4711");
        return Exit::Usage;
    };
    let again = async |service: Service, RulesFile { source, rules }: RulesFile| {
        let link = Link::connect(&service.events, "invalidator replay").await?;
        let stream = link.stream(&source.stream).await?;
        let last = stream.cached_info().state.last_sequence;
        let order = Order {
            start,
            to: args.to_seq.unwrap_or(last),
            rate: args.rate,
        };
        let domain = match args.dry_run {
            true => None,
            false => Some(join(&service).await?),
        };
        if args.to_seq.is_none() && !args.dry_run {
            let rate = args.rate;
            complain(&format_args!(
                "up to event {last}, at most {rate} events a second"
            ));
        }
        let filter = source.filter.as_deref();
        let replayed = replay(domain.as_deref(), &stream, filter, &rules, order).await;
        if let Some(domain) = domain {
            domain.leave().await;
        }
        Ok(say(&shown(&replayed?, args)))
    };
    args.files.with(again).await
}

fn shown(replayed: &Replayed, args: &Args) -> String {
    let Replayed {
        events,
        range,
        announced,
        unreadable,
    } = replayed;
    if args.json {
        let told = json!({
            "events": events,
            "first": range.map(|(first, _)| first),
            "last": range.map(|(_, last)| last),
            "announced": announced,
            "unreadable": unreadable,
            "dry_run": args.dry_run,
        });
        return format!("{told:#}\n");
    }
    let verb = if args.dry_run { "would be" } else { "were" };
    let range = range.map_or_else(String::new, |(first, last)| format!(" ({first} to {last})"));
    format!(
        "{events} events{range}: {announced} keys and tags {verb} announced; \
         {unreadable} events the rules cannot read\n"
    )
}
