//! The processes of the embedded domain, all in this one: they share L2 and the
//! bus, and nothing else.

use crate::observe::Watcher;
use cache_core::bus::Bus;
use cache_core::bus::memory::MemoryBus;
use cache_core::clock::Clock;
use cache_core::coherence::listen::{Proof, Timing};
use cache_core::domain::Parts;
use cache_core::event::{Observer, Silent};
use cache_core::model::key::Name;
use cache_core::random::SystemRandom;
use cache_core::tier::Remote;
use cache_core::tier::memory::MemoryRemote;
use cache_core::{Domain, Error, Position, Role};
use std::sync::Arc;

/// A domain in memory that members join.
#[derive(Clone, Debug)]
pub struct Embedded {
    name: Name,
    remote: Arc<dyn Remote>,
    bus: Arc<dyn Bus>,
    clock: Arc<dyn Clock>,
    proof: Proof,
}

impl Embedded {
    /// An empty domain. With `invalidator`, L1 is trusted only while one beats.
    ///
    /// # Errors
    /// None that can happen: the name is within its limits.
    pub fn new(clock: Arc<dyn Clock>, invalidator: bool) -> Result<Self, Error> {
        Ok(Self {
            name: Name::new("dev")?,
            remote: Arc::new(MemoryRemote::new(clock.clone())),
            bus: Arc::new(MemoryBus::new()),
            clock,
            proof: if invalidator {
                Proof::Invalidator
            } else {
                Proof::Echo
            },
        })
    }

    /// Another process that reads and writes through caches.
    ///
    /// # Errors
    /// [`cache_core::Kind::Unavailable`] when the bus carries nothing.
    pub async fn member(&self, watcher: Arc<Watcher>) -> Result<Arc<Domain>, Error> {
        self.join(watcher, Role::Member).await
    }

    /// A process that carries the changes of the database to the others.
    ///
    /// # Errors
    /// [`cache_core::Kind::Unavailable`] when the bus carries nothing.
    pub async fn invalidator(&self) -> Result<Arc<Domain>, Error> {
        let domain = self.join(Arc::new(Silent), Role::Invalidator).await?;
        let (carrying, every) = (Arc::downgrade(&domain), Timing::default().heartbeat);
        domain.run(async move {
            // The database is as new as everything else here: nothing came before.
            while let Some(domain) = carrying.upgrade() {
                domain.done_up_to(Position::ZERO);
                drop(domain);
                tokio::time::sleep(every).await;
            }
        });
        Ok(domain)
    }

    async fn join(&self, observer: Arc<dyn Observer>, role: Role) -> Result<Arc<Domain>, Error> {
        Domain::join(Parts {
            name: self.name.clone(),
            remote: self.remote.clone(),
            bus: self.bus.clone(),
            clock: self.clock.clone(),
            random: Arc::new(SystemRandom),
            observer,
            role,
            proof: self.proof,
            timing: Timing::default(),
        })
        .await
    }
}
