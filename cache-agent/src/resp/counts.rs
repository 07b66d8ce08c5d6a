//! What is counted of the door: commands by name and outcome, and connections.

use super::command::Command;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The name under which commands are counted that nobody knows.
const UNKNOWN: &str = "unknown";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    command: &'static str,
    result: &'static str,
}

/// The door's series. Clones share them.
#[derive(Clone, Debug)]
pub struct Counts {
    commands: Family<Labels, Counter>,
    /// The one that matters on the hot path, without the family's lock.
    gets: Counter,
    /// The connections that are open.
    pub connections: Gauge,
    /// All that were ever opened.
    pub accepted: Counter,
    /// Commands of all names.
    pub all: Counter,
}

impl Counts {
    /// Registers the series.
    pub fn new(registry: &mut Registry) -> Self {
        let commands = Family::<Labels, Counter>::default();
        let gets = commands.get_or_create_owned(&Labels {
            command: "get",
            result: "ok",
        });
        let counts = Self {
            commands,
            gets,
            connections: Gauge::default(),
            accepted: Counter::default(),
            all: Counter::default(),
        };
        registry.register(
            "cacheaside_resp_commands",
            "Commands over the RESP door, by name and whether they were answered",
            counts.commands.clone(),
        );
        registry.register(
            "cacheaside_resp_connections",
            "Connections of the RESP door that are open",
            counts.connections.clone(),
        );
        registry.register(
            "cacheaside_resp_accepted",
            "Connections that the RESP door has taken",
            counts.accepted.clone(),
        );
        counts
    }

    /// One command was answered, or refused; none if it could not be read.
    pub fn command(&self, command: Option<&'static str>, refused: bool) {
        self.all.inc();
        if command == Some("get") && !refused {
            self.gets.inc();
            return;
        }
        let labels = Labels {
            command: command.unwrap_or(UNKNOWN),
            result: if refused { "refused" } else { "ok" },
        };
        self.commands.get_or_create(&labels).inc();
    }
}

/// The name of a command, if it could be read.
pub fn name<E>(command: &Result<Command, E>) -> Option<&'static str> {
    command.as_ref().ok().map(Command::name)
}
