//! How reloads of the configuration ended, counted.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// How reloads ended, counted.
#[derive(Clone, Debug, Default)]
pub struct Reloads {
    ended: Family<Ended, Counter>,
    last: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

impl Reloads {
    /// Counts that are registered. As long as there was no reload, the last one succeeded:
    /// the file was good at the start.
    pub fn new(registry: &mut Registry) -> Self {
        let counts = Self::default();
        counts.last.set(1);
        let help = "Reloads of the configuration file, by how they ended";
        registry.register("cacheaside_config_reloads", help, counts.ended.clone());
        let help = "Whether the last reload changed what it could, and 0 if the file was refused";
        let name = "cacheaside_config_last_reload_successful";
        registry.register(name, help, counts.last.clone());
        counts
    }

    /// One more.
    pub fn count(&self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Applied => "applied",
            Outcome::Partly => "partly",
            Outcome::Refused => "refused",
        };
        self.ended.get_or_create(&Ended { outcome }).inc();
        self.last.set(i64::from(outcome != "refused"));
    }
}

/// How a reload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The agent is as the file says.
    Applied,
    /// It is, but for what needs a restart.
    Partly,
    /// The file cannot be used: nothing has changed.
    Refused,
}
