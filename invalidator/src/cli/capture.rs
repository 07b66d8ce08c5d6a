//! `invalidator capture`.

use crate::capture::app;
use crate::capture::settings::settings;
use crate::cli::exit::read;
use crate::cli::life::live;
use cache_core::config::overrides::{Given, Override};
use cache_core::ops::exit::Exit;
use clap::Subcommand;
use std::path::PathBuf;

/// The arguments of `capture`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    source: Source,
}

#[derive(Clone, Debug, Subcommand)]
enum Source {
    /// Write the changes of a PostgreSQL database into the stream
    Postgres(Postgres),
}

/// An address with a password belongs into the environment: everybody on the machine can
/// read arguments.
#[derive(Clone, Debug, clap::Args)]
struct Postgres {
    /// The file of the capture
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// In place of `url` in [postgres]
    #[arg(
        long,
        value_name = "URL",
        env = "CAPTURE_POSTGRES_URL",
        hide_env_values = true
    )]
    postgres_url: Option<String>,
    /// In place of `url` in [events]
    #[arg(
        long,
        value_name = "URL",
        env = "INVALIDATOR_EVENTS_URL",
        hide_env_values = true
    )]
    events_url: Option<String>,
}

/// Captures until it is asked to end.
pub async fn run(args: Args) -> Exit {
    let Source::Postgres(args) = args.source;
    let url = |table, url: Option<String>| {
        let value = Given::Text(url?);
        Some(Override {
            table,
            key: "url",
            value,
        })
    };
    let given = [
        url("postgres", args.postgres_url),
        url("events", args.events_url),
    ];
    let given: Vec<_> = given.into_iter().flatten().collect();
    match read(&args.config, |name, text| settings(name, text, &given)) {
        Ok(settings) => {
            live(settings.admin, |admin, stop| {
                app::live(settings, admin, stop)
            })
            .await
        }
        Err(_) => Exit::Usage,
    }
}
