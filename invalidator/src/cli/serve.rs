//! `invalidator serve`.

use crate::app;
use crate::cli::exit::read;
use crate::cli::life::live;
use crate::config;
use cache_core::config::overrides::{Given, Override};
use cache_core::ops::exit::Exit;
use std::path::PathBuf;

/// The arguments of `serve`. An address with a password belongs into the
/// environment: everybody on the machine can read arguments.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The service file: where everything is
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The rules file: what is read and what it makes invalid
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// In place of `urls` in [l2]; several separated by commas
    #[arg(
        long,
        value_name = "URLS",
        env = "INVALIDATOR_L2_URLS",
        hide_env_values = true
    )]
    l2_urls: Option<String>,
    /// In place of `url` in [bus]
    #[arg(
        long,
        value_name = "URL",
        env = "INVALIDATOR_BUS_URL",
        hide_env_values = true
    )]
    bus_url: Option<String>,
    /// In place of `url` in [events]
    #[arg(
        long,
        value_name = "URL",
        env = "INVALIDATOR_EVENTS_URL",
        hide_env_values = true
    )]
    events_url: Option<String>,
}

/// Serves until it is asked to end.
pub async fn run(args: &Args) -> Exit {
    let overrides = args.overrides();
    let service = read(&args.config, |name, text| {
        config::service(name, text, &overrides)
    });
    let rules = read(&args.rules, config::rules);
    let (Ok(service), Ok(rules)) = (service, rules) else {
        return Exit::Usage;
    };
    live(service.admin, |admin, stop| {
        app::live(service, rules, admin, stop)
    })
    .await
}

impl Args {
    fn overrides(&self) -> Vec<Override> {
        let given = |table, key, value| Override { table, key, value };
        let l2 = self
            .l2_urls
            .as_deref()
            .map(|urls| given("l2", "urls", Given::list(urls)));
        let bus = self
            .bus_url
            .clone()
            .map(|url| given("bus", "url", Given::Text(url)));
        let events = self
            .events_url
            .clone()
            .map(|url| given("events", "url", Given::Text(url)));
        [l2, bus, events].into_iter().flatten().collect()
    }
}
