//! `invalidator tail`.

use crate::cli::exit::say;
use crate::cli::files::Files;
use crate::config::{RulesFile, Service};
use crate::operate::instant::Instant;
use crate::operate::judged::Judged;
use crate::operate::read::{Reader, Start};
use crate::source::Link;
use cache_core::clock::SystemClock;
use cache_core::ops::exit::Exit;

/// The arguments of `tail`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    from: From,
    /// Only events on these subjects, with NATS wildcards [default: `filter` of the rules]
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// End after so many events [default: never]
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// For programs: one object a line
    #[arg(long)]
    json: bool,
}

/// Where to begin in the stream.
#[derive(Clone, Debug, clap::Args)]
pub struct From {
    /// Begin so long ago (15m), or at a date (2026-03-01T12:00:00Z)
    #[arg(long, value_name = "T", value_parser = since, conflicts_with = "from_seq")]
    since: Option<Instant>,
    /// Begin at this place in the stream
    #[arg(long, value_name = "N")]
    from_seq: Option<u64>,
}

const HELP: &str = "\
Examples:
  invalidator tail --config invalidator.toml --rules rules.toml
  invalidator tail --config invalidator.toml --rules rules.toml --since 15m --json

Shows what the rules of the file make of each event. Nothing is consumed and nothing is
invalidated by it.";

impl From {
    /// Where that is; nothing if it was not said.
    pub fn start(&self) -> Option<Start> {
        let since = self.since.map(Start::Since);
        since.or(self.from_seq.map(Start::Sequence))
    }
}

fn since(text: &str) -> Result<Instant, String> {
    Instant::parse(text, Instant::now(&SystemClock::new()))
}

/// Shows events until interrupted.
pub async fn run(args: &Args) -> Exit {
    let show = async |service: Service, RulesFile { source, rules }: RulesFile| {
        let link = Link::connect(&service.events, "invalidator tail").await?;
        let stream = link.stream(&source.stream).await?;
        let start = args.from.start().unwrap_or(Start::Next);
        let filter = args.subject.as_deref().or(source.filter.as_deref());
        let mut reader = Reader::open(&stream, start, filter).await?;
        let mut left = args.count.unwrap_or(u64::MAX);
        while left > 0 {
            left -= 1;
            let judged = Judged::new(reader.next().await?, &rules);
            let text = match args.json {
                true => format!("{}\n", judged.json()),
                false => format!("{judged}\n"),
            };
            let told = say(&text);
            if told != Exit::Done {
                return Ok(told);
            }
        }
        Ok(Exit::Done)
    };
    args.files.with(show).await
}
