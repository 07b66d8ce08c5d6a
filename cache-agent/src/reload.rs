//! The configuration file, read again while the agent serves.
//!
//! What can be changed under way is; whatever else differs from the start is named, and
//! nothing of it happens.

use crate::app::App;
use crate::callers::Callers;
use crate::changed::changed;
use crate::config::Config;
use crate::config_file;
use crate::reloads::Outcome;
use cache_core::DomainSettings;
use cache_core::config::overrides::Override;
use cache_core::config::shown::Shown;
use cache_core::ops::telemetry::Log;
use std::path::PathBuf;

/// The keys that take effect at once; and all of `[[identity]]`, as long as there is one.
const AT_ONCE: [&str; 8] = [
    "drain.delay",
    "drain.timeout",
    "listen.deadline",
    "listen.requests_max",
    "listen.stream_calls_max",
    "listen.streams_max",
    "listen.watch_heartbeat",
    "log",
];
const IDENTITY: &str = "identity";

/// What it takes to read the file again.
#[derive(Debug)]
pub struct Reload {
    /// Where the file is.
    pub file: PathBuf,
    /// What stands in place of its keys.
    pub given: Vec<Override>,
    /// The agent that is changed.
    pub app: App,
    /// Who may call it.
    pub callers: Callers,
    /// Where it logs.
    pub log: Log,
    /// The keys as they were at the start.
    pub start: Shown,
    /// How the domain was joined. Passwords are not among the keys that are shown.
    pub domain: DomainSettings,
}

impl Reload {
    /// Reads the file again and does what can be done. Everything about it is logged.
    pub fn again(&self) -> Outcome {
        let file = self.file.display().to_string();
        let outcome = match self.read() {
            Ok(more) if more.is_empty() => {
                tracing::info!(file, "the configuration was read again and is in effect");
                Outcome::Applied
            }
            Ok(more) => {
                let keys = more.join(", ");
                tracing::warn!(file, "needs a restart: {keys}; the rest is in effect");
                Outcome::Partly
            }
            Err(why) => {
                tracing::error!(file, "nothing was changed, the file is refused: {why}");
                Outcome::Refused
            }
        };
        self.app.reloads.count(outcome);
        outcome
    }

    /// # Errors
    /// Everything that is wrong with the file.
    fn read(&self) -> Result<Vec<String>, String> {
        let read = config_file::read(&self.file, &self.given);
        let (config, shown) = read.map_err(|unfit| unfit.to_string())?;
        let mut more = changed(&self.start, &shown);
        if self.domain != config.domain && !more.iter().any(|key| is_of_domain(key)) {
            more.push("a login in l2 or bus".to_owned());
        }
        // Whoever was let in without being asked would stay.
        let asks = self.callers.ask();
        let identities_fit = asks != config.identities.is_empty();
        more.retain(|key| key.split('.').next() != Some(IDENTITY));
        more.retain(|key| !AT_ONCE.contains(&key.as_str()));
        match identities_fit {
            // The one step that may fail comes first.
            true => self.callers.renew(config.identities.clone())?,
            false => more.push(IDENTITY.to_owned()),
        }
        self.apply(&config);
        Ok(more)
    }

    fn apply(&self, config: &Config) {
        let kept = **self.app.agent.limits.load();
        let mut limits = config.listen.limits;
        // The door of RESP was opened with a number of places.
        limits.resp_connections_max = kept.resp_connections_max;
        self.app.agent.set_limits(limits);
        self.app.set_drain(config.drain);
        self.log.set(&config.log);
    }
}

fn is_of_domain(key: &str) -> bool {
    let table = key.split('.').next();
    table.is_some_and(|table| ["domain", "l2", "bus"].contains(&table))
}
