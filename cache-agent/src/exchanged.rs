//! The series of calls that came over a stream: they are none of the gate's.

use crate::proto::v1::call::Call;
use crate::reason::Reason;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::fmt;

/// What may be called, by the names that the gate has for it.
const CALLS: [&str; 8] = [
    "Get",
    "Fill",
    "ReleaseLease",
    "Set",
    "Touch",
    "Delete",
    "Invalidate",
    "other",
];
const FINE: &str = "OK";

/// The calls of all exchanges, counted. Clones share the counts.
#[derive(Clone)]
pub struct Exchanged {
    all: Family<Labels, Counter>,
    /// Those that did not fail: nearly all, so nothing is looked up for them.
    fine: [Counter; CALLS.len()],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    grpc_method: &'static str,
    reason: &'static str,
}

impl Exchanged {
    /// All at zero.
    pub fn new() -> Self {
        let all: Family<Labels, Counter> = Family::default();
        let fine = CALLS.map(|grpc_method| {
            let reason = FINE;
            let labels = Labels {
                grpc_method,
                reason,
            };
            all.get_or_create(&labels).clone()
        });
        Self { all, fine }
    }

    /// Has them shown.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Calls of exchanges answered, by method and the reason of the failure";
        registry.register("cacheaside_exchange_calls", help, self.all.clone());
    }

    /// A call was answered.
    pub fn count(&self, call: usize, failed: Option<Reason>) {
        match failed {
            None => self.fine[call].inc(),
            Some(reason) => {
                let labels = Labels {
                    grpc_method: CALLS[call],
                    reason: reason.on_the_wire().0,
                };
                self.all.get_or_create(&labels).inc()
            }
        };
    }
}

impl Default for Exchanged {
    fn default() -> Self {
        Self::new()
    }
}

/// The number by which a call is counted.
pub fn number(call: Option<&Call>) -> usize {
    match call {
        Some(Call::Get(_)) => 0,
        Some(Call::Fill(_)) => 1,
        Some(Call::ReleaseLease(_)) => 2,
        Some(Call::Set(_)) => 3,
        Some(Call::Touch(_)) => 4,
        Some(Call::Delete(_)) => 5,
        Some(Call::Invalidate(_)) => 6,
        None => 7,
    }
}

impl fmt::Debug for Exchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchanged").finish_non_exhaustive()
    }
}
