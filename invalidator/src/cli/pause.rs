//! `invalidator pause` and `invalidator resume`.

use crate::cli::exit::{complain, say};
use crate::cli::files::Files;
use crate::config::{RulesFile, Service};
use crate::operate::instant::Instant;
use crate::operate::rest::{self, MEANING, Rest};
use crate::pause::Paused;
use crate::source::Link;
use cache_core::clock::SystemClock;
use cache_core::ops::exit::Exit;

/// The arguments of `pause`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = PAUSE_HELP)]
pub struct PauseArgs {
    #[command(flatten)]
    files: Files,
    /// Why, for whoever finds it paused
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
}

/// The arguments of `resume`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = RESUME_HELP)]
pub struct ResumeArgs {
    #[command(flatten)]
    files: Files,
}

const PAUSE_HELP: &str = "\
Example:
  invalidator pause --why 'restoring the database' --config invalidator.toml \\
    --rules rules.toml

All instances stop taking events within a second, and so do those that start later, until
`invalidator resume`. They stay alive and ready; cacheaside_invalidator_paused and
`invalidator lag` tell of it. Exit code 1 if some still have events in hand after 10 s.";

const RESUME_HELP: &str = "\
Example:
  invalidator resume --config invalidator.toml --rules rules.toml";

/// Pauses all instances.
pub async fn pause(args: &PauseArgs) -> Exit {
    let pause = async |service: Service, RulesFile { source, .. }: RulesFile| {
        let link = Link::connect(&service.events, "invalidator pause").await?;
        let Instant(since_ms) = Instant::now(&SystemClock::new());
        let why = args.why.clone();
        let rest = rest::pause(&link, &source, &Paused { since_ms, why }).await?;
        complain(&MEANING);
        Ok(match rest {
            Rest::Quiet => say("paused: no event is in hand\n"),
            Rest::Busy(asking, in_hand) => {
                complain(&format_args!(
                    "paused, but {in_hand} events are in hand still, and {asking} requests \
                     for more; is Redis away, or an instance of another version running?"
                ));
                Exit::Failed
            }
        })
    };
    args.files.with(pause).await
}

/// Ends the pause.
pub async fn resume(args: &ResumeArgs) -> Exit {
    let resume = async |service: Service, RulesFile { source, .. }: RulesFile| {
        let link = Link::connect(&service.events, "invalidator resume").await?;
        Ok(match rest::resume(&link, &source).await? {
            true => say("resumed: events are taken again within a second\n"),
            false => say("was not paused\n"),
        })
    };
    args.files.with(resume).await
}
