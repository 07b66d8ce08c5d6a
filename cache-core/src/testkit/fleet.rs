//! Several processes of one domain inside one test.

use crate::bus::Bus;
use crate::bus::memory::MemoryBus;
use crate::cache::Cache;
use crate::clock::{Clock, SystemClock};
use crate::coherence::listen::{Proof, Timing};
use crate::domain::{Domain, Parts, Role};
use crate::error::Error;
use crate::event::{Observer, Silent, Tier};
use crate::model::key::Name;
use crate::model::position::Position;
use crate::random::SystemRandom;
use crate::source::Cause;
use crate::strategy::cache_aside::Lookup;
use crate::testkit::until::until;
use crate::tier::Remote;
use crate::tier::memory::MemoryRemote;
use std::sync::Arc;
use std::time::Duration;

/// What the members of a fleet share.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The domain's name.
    pub name: Name,
    /// L2.
    pub remote: Arc<dyn Remote>,
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Whose sign of life counts.
    pub proof: Proof,
    /// How often and how long.
    pub timing: Timing,
}

impl Fleet {
    /// A fleet over L2 and a bus in memory, without an invalidator.
    pub fn in_memory() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        Self::over(
            Arc::new(MemoryRemote::new(clock.clone())),
            Arc::new(MemoryBus::new()),
            clock,
        )
    }

    /// A fleet over an L2 and a bus.
    pub fn over(remote: Arc<dyn Remote>, bus: Arc<dyn Bus>, clock: Arc<dyn Clock>) -> Self {
        Self {
            name: Name::new("main").expect("a name within its limits"),
            remote,
            bus,
            clock,
            proof: Proof::Echo,
            timing: Timing {
                heartbeat: Duration::from_millis(50),
                trust: Duration::from_millis(500),
            },
        }
    }

    /// The same fleet with an invalidator, whose heartbeat its members need.
    #[must_use]
    pub fn with_invalidator(self) -> Self {
        Self {
            proof: Proof::Invalidator,
            ..self
        }
    }

    /// One more process.
    ///
    /// # Errors
    /// As [`Domain::join`].
    pub async fn join(&self, role: Role) -> Result<Arc<Domain>, Error> {
        self.join_observed(role, Arc::new(Silent)).await
    }

    /// One more process, watched.
    ///
    /// # Errors
    /// As [`Domain::join`].
    pub async fn join_observed(
        &self,
        role: Role,
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<Domain>, Error> {
        let domain = Domain::join(Parts {
            name: self.name.clone(),
            remote: self.remote.clone(),
            bus: self.bus.clone(),
            clock: self.clock.clone(),
            random: Arc::new(SystemRandom),
            observer,
            role,
            proof: self.proof,
            timing: self.timing,
        })
        .await?;
        if role == Role::Invalidator {
            // There is no stream: nothing is left to be done, ever.
            domain.done_up_to(Position::ZERO);
            let (carrying, every) = (Arc::downgrade(&domain), self.timing.heartbeat);
            domain.run(async move {
                while let Some(domain) = carrying.upgrade() {
                    domain.done_up_to(Position::ZERO);
                    drop(domain);
                    tokio::time::sleep(every).await;
                }
            });
        }
        Ok(domain)
    }
}

/// Whether L1 answers a read of a key.
pub async fn in_l1(cache: &Cache<u64>, key: impl AsRef<[u8]>) -> bool {
    matches!(cache.get(key).await, Ok(Lookup::Hit(hit)) if hit.tier() == Tier::L1)
}

/// Loads a value and looks whether L1 has kept it. Not at once: while the bus still tells
/// that buckets have begun, nothing stays.
///
/// # Panics
/// If something else is answered.
pub async fn keeps_in_l1(cache: &Cache<u64>, key: impl AsRef<[u8]>, value: u64) -> bool {
    let load = async move |_| Ok::<_, Cause>(Some(value));
    let loaded = cache.get_or_load(&key, load).await;
    let loaded = loaded.expect("the source answers");
    assert_eq!(loaded.as_deref(), Some(&value));
    in_l1(cache, key).await
}

/// Waits until a member trusts its L1.
///
/// # Panics
/// After 5 seconds.
pub async fn until_trusted(member: &Domain) {
    let trusted = || async { member.trust().holds(member.clock().now()) };
    let waited = until(Duration::from_secs(5), "L1 is trusted", trusted).await;
    waited.expect("a member trusts its L1 within seconds");
}
