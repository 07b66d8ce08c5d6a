//! Settings become a running domain: the only file that names Redis and NATS
//! together.

use crate::advice::{Advice, advise};
use crate::bus::Bus;
use crate::bus::memory::MemoryBus;
use crate::bus::nats::NatsBus;
use crate::bus::server::NatsAt;
use crate::clock::{Clock, SystemClock};
use crate::coherence::listen::{Proof, Timing};
use crate::domain::{Domain, Parts, Role};
use crate::error::{Error, Kind};
use crate::event::Observer;
use crate::model::key::{BUCKETS, Name};
use crate::queue::Queue;
use crate::queue::memory::MemoryQueue;
use crate::queue::nats::{NatsQueue, QueueSettings};
use crate::random::SystemRandom;
use crate::tier::Remote;
use crate::tier::memory::MemoryRemote;
use crate::tier::observed::Observed;
use crate::tier::redis::{Deployment, RedisAccess, RedisRemote};
use std::sync::Arc;
use std::time::Duration;

/// How much waits in a queue of writes at most, in bytes: hours of small writes.
const QUEUE_BYTES: usize = 1024 * 1024 * 1024;

/// Where L2 is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteAt {
    /// In this process: nothing is shared with others.
    Memory,
    /// In Redis.
    Redis {
        /// Which.
        deployment: Deployment,
        /// What lets this process in.
        access: Box<RedisAccess>,
        /// How long one answer may take. 200 ms by default: far above a healthy
        /// Redis, and short enough that a hung one is noticed before callers are.
        timeout: Duration,
    },
}

/// Where the bus is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusAt {
    /// In this process.
    Memory,
    /// In NATS.
    Nats {
        /// Which.
        at: NatsAt,
        /// The first token of every subject.
        prefix: String,
    },
}

/// How a process reaches its domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainSettings {
    /// The domain's name, the same in every process.
    pub name: Name,
    /// L2.
    pub remote: RemoteAt,
    /// The bus.
    pub bus: BusAt,
    /// Whose sign of life lets L1 be trusted.
    pub proof: Proof,
    /// How often and how long.
    pub timing: Timing,
}

impl DomainSettings {
    /// Everything in this process, for development and tests.
    pub fn embedded() -> Self {
        Self {
            name: Name::new("main").expect("a name within its limits"),
            remote: RemoteAt::Memory,
            bus: BusAt::Memory,
            proof: Proof::Echo,
            timing: Timing::default(),
        }
    }

    /// What stands in these settings and is surely not meant.
    pub fn advice(&self) -> Vec<Advice> {
        let (l2_is_shared, bus_is_shared) =
            (self.remote != RemoteAt::Memory, self.bus != BusAt::Memory);
        let Timing { heartbeat, trust } = self.timing;
        let all = [
            advise(
                l2_is_shared && !bus_is_shared,
                "bus_not_shared",
                "L2 is in Redis, and the bus in this process".to_owned(),
                "no other process hears of an invalidation: its L1 answers until its TTL",
                "put the bus into NATS",
            ),
            advise(
                bus_is_shared && !l2_is_shared,
                "l2_not_shared",
                "the bus is in NATS, and L2 in this process".to_owned(),
                "each process loads for itself, and no lease holds between them",
                "put L2 into Redis",
            ),
            advise(
                trust < heartbeat.saturating_mul(3),
                "trust_too_short",
                format!("trust_for = {trust:?}, heartbeat = {heartbeat:?}"),
                "one message that is lost switches L1 off",
                "set `trust_for` to at least three heartbeats",
            ),
        ];
        all.into_iter().flatten().collect()
    }
}

/// Connects to L2 and the bus, and joins the domain.
///
/// # Errors
/// [`crate::Kind::Unavailable`] when Redis or NATS cannot be reached,
/// [`crate::Kind::Invalid`] for addresses that cannot be read.
pub async fn open(
    settings: &DomainSettings,
    role: Role,
    observer: Arc<dyn Observer>,
) -> Result<Arc<Domain>, Error> {
    for advice in settings.advice() {
        advice.log(settings.name.as_str());
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let remote: Arc<dyn Remote> = match &settings.remote {
        RemoteAt::Memory => Arc::new(MemoryRemote::new(clock.clone())),
        RemoteAt::Redis {
            deployment,
            access,
            timeout,
        } => {
            let name = settings.name.clone();
            Arc::new(RedisRemote::open(name, deployment, access, *timeout).await?)
        }
    };
    agree(settings, &*remote).await?;
    let bus: Arc<dyn Bus> = match &settings.bus {
        BusAt::Memory => Arc::new(MemoryBus::new()),
        BusAt::Nats { at, prefix } => {
            Arc::new(NatsBus::connect(at.clone(), prefix, &settings.name).await?)
        }
    };
    let remote = Arc::new(Observed::new(remote, clock.clone(), observer.clone()));
    Domain::join(Parts {
        name: settings.name.clone(),
        remote,
        bus,
        clock,
        random: Arc::new(SystemRandom),
        observer,
        role,
        proof: settings.proof,
        timing: settings.timing,
    })
    .await
}

/// The queue of writes of one cache: in NATS if the bus is, and else in this process, where
/// a crash loses what waits in it. Up to 1 GiB wait.
///
/// # Errors
/// As [`NatsQueue::open`].
pub async fn queue(settings: &DomainSettings, cache: &Name) -> Result<Arc<dyn Queue>, Error> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let BusAt::Nats { at, prefix } = &settings.bus else {
        return Ok(Arc::new(MemoryQueue::new(clock, QUEUE_BYTES)));
    };
    let kept = QueueSettings {
        at: at.clone(),
        prefix: prefix.clone(),
        bytes_max: QUEUE_BYTES,
        replicas: 1,
    };
    let random = Arc::new(SystemRandom);
    let queue = NatsQueue::open(&kept, &settings.name, cache, clock, random).await?;
    Ok(Arc::new(queue))
}

/// Makes sure that all processes of a domain were told the same of it: positions
/// and trust of different kinds must never mix in one L2.
async fn agree(settings: &DomainSettings, remote: &dyn Remote) -> Result<(), Error> {
    let trust_by = match settings.proof {
        Proof::Invalidator => "invalidator",
        Proof::Echo => "echo",
    };
    let terms = format!("buckets={BUCKETS} trust_by={trust_by}");
    match remote.agree(terms.as_bytes()).await {
        Ok(held) if held == terms.as_bytes() => Ok(()),
        Ok(held) => {
            let held = String::from_utf8_lossy(&held).into_owned();
            let hint = format!("L2 was set up with `{held}`, this process with `{terms}`");
            let error = Error::new(Kind::Mismatch, "joining a domain", settings.name.as_str());
            Err(error.hint(hint))
        }
        // That shard is away; whoever set the domain up has agreed before.
        Err(error) => {
            tracing::warn!(%error, "the terms of the domain could not be compared");
            Ok(())
        }
    }
}
