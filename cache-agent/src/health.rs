//! Whether the agent is ready, said once and heard in two places: the gRPC health
//! service and `/ready`.

use parking_lot::RwLock;
use std::sync::Arc;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The names that health checks ask for; the empty one is the whole agent.
const NAMES: [&str; 4] = [
    "",
    "cacheaside.v1.CacheService",
    "cacheaside.v1.InvalidationService",
    "cacheaside.v1.StreamService",
];

/// Whether the agent is ready. Clones share it.
#[derive(Clone, Debug)]
pub struct Readiness {
    why_not: Arc<RwLock<Option<String>>>,
    reporter: HealthReporter,
}

impl Readiness {
    /// Not ready, because it starts.
    pub async fn starting() -> Self {
        let readiness = Self {
            why_not: Arc::default(),
            reporter: HealthReporter::new(),
        };
        readiness
            .not_ready("starting: Redis and NATS have not been reached yet")
            .await;
        readiness
    }

    /// From here on it is ready.
    pub async fn ready(&self) {
        *self.why_not.write() = None;
        self.report(ServingStatus::Serving).await;
    }

    /// From here on it is not. Calls are answered all the same, as far as possible.
    pub async fn not_ready(&self, why: impl Into<String>) {
        *self.why_not.write() = Some(why.into());
        self.report(ServingStatus::NotServing).await;
    }

    /// Why it is not ready.
    pub fn why_not(&self) -> Option<String> {
        self.why_not.read().clone()
    }

    /// What the gRPC health service answers from.
    pub fn reporter(&self) -> HealthReporter {
        self.reporter.clone()
    }

    async fn report(&self, status: ServingStatus) {
        for name in NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }
}
