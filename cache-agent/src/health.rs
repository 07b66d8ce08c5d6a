//! Whether the agent is ready, said once and heard in two places: the gRPC health
//! service and `/ready`.
//!
//! Ready is who has joined. That Redis or NATS is away later takes nobody out: reads are
//! answered from what may still be trusted, or with misses, and every other agent would be
//! out for the same reason at the same time. Only invalidations cannot be told without NATS,
//! so that service alone says so.

use parking_lot::RwLock;
use std::sync::Arc;
use tokio::sync::Mutex;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The names that health checks ask for; the empty one is the whole agent.
const NAMES: [&str; 3] = [
    "",
    "cacheaside.v1.CacheService",
    "cacheaside.v1.StreamService",
];
/// What can be told only while others hear of it.
const TELLING: &str = "cacheaside.v1.InvalidationService";

/// Whether the agent is ready. Clones share it.
#[derive(Clone, Debug)]
pub struct Readiness {
    state: Arc<RwLock<State>>,
    reporter: HealthReporter,
    /// Held while the state is reported, so that what was true first is not said last.
    reporting: Arc<Mutex<()>>,
}

#[derive(Clone, Debug)]
struct State {
    why_not: Option<String>,
    is_heard: bool,
}

impl Readiness {
    /// Not ready, because it starts.
    pub async fn starting() -> Self {
        let readiness = Self {
            state: Arc::new(RwLock::new(State {
                why_not: None,
                is_heard: true,
            })),
            reporter: HealthReporter::new(),
            reporting: Arc::default(),
        };
        readiness
            .not_ready("starting: Redis and NATS have not been reached yet")
            .await;
        readiness
    }

    /// From here on it is ready.
    pub async fn ready(&self) {
        self.state.write().why_not = None;
        self.report().await;
    }

    /// From here on it is not. Calls are answered all the same, as far as possible.
    pub async fn not_ready(&self, why: impl Into<String>) {
        self.state.write().why_not = Some(why.into());
        self.report().await;
    }

    /// Whether others hear of an invalidation from here on.
    pub async fn heard(&self, is_heard: bool) {
        let before = std::mem::replace(&mut self.state.write().is_heard, is_heard);
        if before == is_heard {
            return;
        }
        match is_heard {
            true => tracing::info!("invalidations are told again"),
            false => tracing::warn!("invalidations cannot be told: NATS is away"),
        }
        self.report().await;
    }

    /// Why it is not ready.
    pub fn why_not(&self) -> Option<String> {
        self.state.read().why_not.clone()
    }

    /// What the gRPC health service answers from.
    pub fn reporter(&self) -> HealthReporter {
        self.reporter.clone()
    }

    async fn report(&self) {
        let _turn = self.reporting.lock().await;
        let State { why_not, is_heard } = self.state.read().clone();
        let status = |serves: bool| match serves {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        let is_ready = why_not.is_none();
        for name in NAMES {
            let set = self.reporter.set_service_status(name, status(is_ready));
            set.await;
        }
        let tells = status(is_ready && is_heard);
        self.reporter.set_service_status(TELLING, tells).await;
    }
}
