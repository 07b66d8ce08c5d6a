//! The two files, which nearly every command takes.

use crate::cli::exit::{ended_with, read};
use crate::config::{self, RulesFile, Service};
use cache_core::Error;
use cache_core::config::overrides::{Given, Override};
use cache_core::ops::exit::Exit;
use std::path::PathBuf;

/// Where the two files are.
#[derive(Clone, Debug, clap::Args)]
pub struct Files {
    /// The service file: where everything is
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The rules file: what is read and what it makes invalid
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    #[command(flatten)]
    places: Places,
}

/// What takes the place of addresses in the service file. One with a password belongs
/// into the environment: everybody on the machine can read arguments.
#[derive(Clone, Debug, clap::Args)]
pub struct Places {
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

impl Files {
    /// Reads both files, and says everything that is wrong with them.
    ///
    /// # Errors
    /// [`Exit::Usage`].
    pub fn read(&self) -> Result<(Service, RulesFile), Exit> {
        let overrides = self.places.overrides();
        let service = read(&self.config, |name, text| {
            config::service(name, text, &overrides)
        });
        let rules = read(&self.rules, config::rules);
        match (service, rules) {
            (Ok(service), Ok(rules)) => Ok((service, rules)),
            _ => Err(Exit::Usage),
        }
    }

    /// Reads both files and works with them; says what goes wrong.
    pub async fn with(
        &self,
        work: impl AsyncFnOnce(Service, RulesFile) -> Result<Exit, Error>,
    ) -> Exit {
        match self.read() {
            Ok((service, rules)) => match work(service, rules).await {
                Ok(exit) => exit,
                Err(error) => ended_with(Err(error)),
            },
            Err(exit) => exit,
        }
    }
}

impl Places {
    /// What takes the place of what the service file says.
    pub fn overrides(&self) -> Vec<Override> {
        let given = Override::of;
        let text = |text: &Option<String>| text.clone().map(Given::Text);
        let l2 = self.l2_urls.as_deref().map(Given::list);
        let all = [
            l2.map(|urls| given("l2", "urls", urls)),
            text(&self.bus_url).map(|url| given("bus", "url", url)),
            text(&self.events_url).map(|url| given("events", "url", url)),
        ];
        all.into_iter().flatten().collect()
    }
}
