//! `invalidator serve`.

use crate::app;
use crate::cli::exit::{complain, ended_with};
use crate::cli::files::Files;
use crate::config::Service;
use cache_core::ops::exit::Exit;
use cache_core::ops::shutdown::Signals;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

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
    // Before anything that takes time: a signal from here on means a clean end.
    let (mut signals, admin) = match (Signals::new(), listen(&service).await) {
        (Ok(signals), Ok(admin)) => (signals, admin),
        (Err(error), _) => return failed(&format_args!("cannot hear signals: {error}")),
        (_, Err(error)) => {
            return failed(&format_args!("cannot listen on {}: {error}", service.admin));
        }
    };
    let stop = CancellationToken::new();
    let mut life = std::pin::pin!(app::live(service, rules, admin, stop.clone()));
    tokio::select! {
        ended = &mut life => return ended_with(ended),
        _ = signals.next() => stop.cancel(),
    }
    tokio::select! {
        ended = life => ended_with(ended),
        asked = signals.next() => Exit::Killed(asked),
    }
}

async fn listen(service: &Service) -> std::io::Result<TcpListener> {
    let admin = TcpListener::bind(service.admin).await?;
    tracing::info!(address = %admin.local_addr()?, "the admin listener is open");
    Ok(admin)
}

fn failed(why: &dyn std::fmt::Display) -> Exit {
    complain(why);
    Exit::Failed
}
