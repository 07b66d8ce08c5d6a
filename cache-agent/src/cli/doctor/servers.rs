//! Redis and NATS, and whether a process can join its domain over them.

use crate::cli::doctor::finding::Finding;
use cache_core::bus::examine::{BusState, examine as look_at_bus};
use cache_core::clock::SystemClock;
use cache_core::connect::{self, BusAt, RemoteAt};
use cache_core::event::{CacheId, Event, Observer};
use cache_core::tier::redis::{ExaminedNode, NodeState, examine as look_at_redis};
use cache_core::{DomainSettings, Name, Role};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

const REDIS: &str = "redis";
const NATS: &str = "nats";
const DOMAIN: &str = "domain";

/// How long a connection to NATS may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The clocks of a fleet are closer together than this where anything keeps them.
const SKEW_MAX: Duration = Duration::from_millis(500);
/// The oldest Redis that the tests run with.
const REDIS_MIN: u32 = 7;

/// Looks at both, and joins the domain if they can be reached.
pub async fn all(settings: &DomainSettings) -> Vec<Finding> {
    let (redis, nats) = (redis(settings).await, nats(settings).await);
    let reached = redis.is_ok() && nats.is_ok();
    let mut found = redis.unwrap_or_else(|one| vec![one]);
    found.push(nats.unwrap_or_else(|one| one));
    if reached {
        found.extend(domain(settings).await);
    }
    found
}

async fn redis(settings: &DomainSettings) -> Result<Vec<Finding>, Finding> {
    let RemoteAt::Redis {
        deployment,
        access,
        timeout,
    } = &settings.remote
    else {
        return Ok(vec![Finding::ok(REDIS, "kind = \"memory\": there is none")]);
    };
    let looked = look_at_redis(
        &settings.name,
        deployment,
        access,
        *timeout,
        &SystemClock::new(),
    )
    .await;
    let examined = looked.map_err(|error| Finding::error(REDIS, &error))?;
    let mut found: Vec<_> = examined
        .nodes
        .iter()
        .flat_map(|node| of_node(node, *timeout))
        .collect();
    if examined.unserved > 0 {
        let text = format!(
            "{} buckets have no node that serves them",
            examined.unserved
        );
        let mend = "look at `CLUSTER INFO` and `CLUSTER SHARDS`; their keys are misses";
        found.push(Finding::bad(REDIS, text, mend));
    }
    Ok(found)
}

fn of_node(node: &ExaminedNode, timeout: Duration) -> Vec<Finding> {
    let at = &node.address;
    let state = match &node.said {
        Ok(state) => state,
        Err(why) => {
            let mend = "is it running, and may this machine reach it? its keys are misses";
            return vec![Finding::bad(REDIS, format!("{at}: {why}"), mend)];
        }
    };
    let mib = |bytes: u64| bytes >> 20;
    let memory = match state.memory_max {
        Some(most) => format!("{} of {} MiB", mib(state.memory), mib(most)),
        None => format!("{} MiB", mib(state.memory)),
    };
    let (version, took) = (&state.version, state.took);
    let text = format!("{at}: version {version}, {memory}, answered in {took:.1?}");
    let mut found = vec![Finding::ok(REDIS, text)];
    found.extend(doubts(at, state, timeout));
    found
}

fn doubts(at: &str, state: &NodeState, timeout: Duration) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut bad = |text: String, mend: &str| found.push(Finding::bad(REDIS, text, mend));
    if state.is_replica {
        let mend = "name the master, or the cluster, or the sentinels";
        bad(format!("{at}: it is a replica and refuses writes"), mend);
    }
    if let Err(why) = &state.scripts {
        let mend = "the user needs +eval +evalsha +script, and its keys (docs/security.md)";
        bad(format!("{at}: it runs no scripts: {why}"), mend);
    }
    let major = state
        .version
        .split('.')
        .next()
        .and_then(|n| n.parse::<u32>().ok());
    if major.is_some_and(|major| major < REDIS_MIN) {
        let text = format!(
            "{at}: version {} is older than what is tested",
            state.version
        );
        let mend = format!("upgrade to {REDIS_MIN} or later");
        found.push(Finding::warn(REDIS, text, mend));
    }
    match state.eviction.as_deref() {
        // They take what has no TTL too, and so the watermarks.
        Some(policy) if policy.starts_with("allkeys") => found.push(Finding::bad(
            REDIS,
            format!("{at}: maxmemory-policy {policy} may evict what keeps old values out"),
            "CONFIG SET maxmemory-policy volatile-lfu, and in its configuration file",
        )),
        Some("noeviction") if state.memory_max.is_some() => found.push(Finding::warn(
            REDIS,
            format!("{at}: maxmemory-policy noeviction: when it is full, nothing can be stored"),
            "CONFIG SET maxmemory-policy volatile-lfu, and in its configuration file",
        )),
        _ => {}
    }
    if state.memory_max.is_none() {
        let text = format!("{at}: without maxmemory it grows until the system kills it");
        let mend = "CONFIG SET maxmemory to three quarters of what it may use";
        found.push(Finding::warn(REDIS, text, mend));
    }
    if state.took > timeout / 4 {
        let text = format!(
            "{at}: it answered in {:.1?}, and l2.timeout is {timeout:?}",
            state.took
        );
        let mend = "look at its load (`redis-cli --latency`), or raise l2.timeout";
        found.push(Finding::warn(REDIS, text, mend));
    }
    let ahead = Duration::from_millis(state.ahead_ms.unsigned_abs());
    if ahead > SKEW_MAX + state.took {
        let way = if state.ahead_ms > 0 {
            "ahead of"
        } else {
            "behind"
        };
        let text = format!("{at}: its clock is {ahead:.1?} {way} this machine's");
        let mend = "let NTP keep both; lifetimes and lags are measured by them, truth is not";
        found.push(Finding::warn(REDIS, text, mend));
    }
    found
}

async fn nats(settings: &DomainSettings) -> Result<Finding, Finding> {
    let BusAt::Nats { at, .. } = &settings.bus else {
        return Ok(Finding::ok(NATS, "kind = \"memory\": there is none"));
    };
    let looked = look_at_bus(at, PATIENCE, &SystemClock::new()).await;
    looked
        .map(|state| of_bus(&state))
        .map_err(|error| Finding::error(NATS, &error))
}

fn of_bus(state: &BusState) -> Finding {
    let jetstream = match state.jetstream {
        true => "with JetStream",
        false => "without JetStream, which write-behind and the invalidator need",
    };
    let (version, took) = (&state.version, state.took);
    let text = format!("version {version}, {jetstream}, let in within {took:.1?}");
    Finding::ok(NATS, text)
}

/// Hears whether L1 is trusted.
#[derive(Debug)]
struct Ear(watch::Sender<bool>);

impl Observer for Ear {
    fn register(&self, _: &Name) -> CacheId {
        CacheId(0)
    }

    fn observe(&self, event: &Event<'_>) {
        if let Event::Trust { held } = event {
            self.0.send_replace(*held);
        }
    }
}

/// Joins the domain as an agent does, waits for a sign of life, and leaves.
async fn domain(settings: &DomainSettings) -> Vec<Finding> {
    let (ear, mut trusted) = watch::channel(false);
    let joined = connect::open(settings, Role::Member, Arc::new(Ear(ear))).await;
    let domain = match joined {
        Ok(domain) => domain,
        Err(error) => return vec![Finding::error(DOMAIN, &error)],
    };
    let name = &settings.name;
    let mut found = vec![Finding::ok(DOMAIN, format!("joined `{name}`"))];
    let patience = settings.timing.trust * 2 + Duration::from_secs(1);
    let heard = timeout(patience, trusted.wait_for(|held| *held)).await;
    found.push(match heard {
        Ok(Ok(_)) => Finding::ok(DOMAIN, "changes are heard: L1 may answer"),
        _ => Finding::bad(
            DOMAIN,
            format!("no sign of life within {patience:?}: L1 would answer nothing"),
            "start `invalidator serve`, with the same [domain] name and bus prefix; without an \
             invalidator, set domain.trust_by = \"echo\"",
        ),
    });
    domain.leave().await;
    found
}
