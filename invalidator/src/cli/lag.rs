//! `invalidator lag`.

use crate::cli::exit::say;
use crate::cli::files::Files;
use crate::config::{RulesFile, Service};
use crate::operate::instant::Instant;
use crate::operate::lag::Lookout;
use crate::source::Link;
use cache_core::clock::SystemClock;
use cache_core::ops::exit::Exit;
use std::time::Duration;
use tokio::time::interval;

/// The time between two looks of `--watch`.
const EVERY: Duration = Duration::from_secs(1);

/// The arguments of `lag`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    files: Files,
    /// Look again every second, until interrupted
    #[arg(long)]
    watch: bool,
    /// For programs: one object a line
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Example:
  invalidator lag --config invalidator.toml --rules rules.toml --watch

The consumer of the rules file has a star. OLDEST is how long the first event that is not
done has been in the stream.";

/// Shows how far everything is.
pub async fn run(args: &Args) -> Exit {
    let look = async |service: Service, rules: RulesFile| {
        let link = Link::connect(&service.events, "invalidator lag").await?;
        let lookout = Lookout::open(link, rules.source, service.domain).await?;
        let clock = SystemClock::new();
        let mut tick = interval(EVERY);
        loop {
            tick.tick().await;
            let lag = lookout.look(Instant::now(&clock)).await?;
            let text = match args.json {
                true => format!("{}\n", lag.json()),
                false => lag.to_string(),
            };
            let told = say(&text);
            if told != Exit::Done || !args.watch {
                return Ok(told);
            }
        }
    };
    args.files.with(look).await
}
