//! Which node serves which bucket: asked of a cluster, of sentinels, or fixed.

use super::node::Node;
use crate::model::key::{BUCKETS, Bucket, Name};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult, Value};
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// The hash slots of a Redis Cluster.
const SLOTS: u16 = 16_384;

/// How a deployment is found.
#[derive(Clone, Debug)]
pub(super) enum Directory {
    /// One node for everything.
    Single(ConnectionInfo),
    /// A cluster, found through any of its nodes.
    Cluster(Vec<ConnectionInfo>),
    /// A master and its replicas, watched by sentinels.
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        service: String,
    },
}

/// Who serves which bucket at one moment.
#[derive(Clone)]
pub(super) struct Topology {
    /// All nodes by address, those without buckets too.
    pub(super) nodes: HashMap<String, Arc<Node>>,
    of_bucket: Vec<Option<Arc<Node>>>,
}

/// The owner's address of every bucket: one node's view.
type Owners = Vec<Option<String>>;

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.nodes.values()).finish()
    }
}

impl Topology {
    /// Nobody serves anything yet.
    pub(super) fn empty() -> Self {
        Self {
            nodes: HashMap::new(),
            of_bucket: vec![None; BUCKETS],
        }
    }

    /// The node that serves a bucket.
    pub(super) fn node(&self, bucket: Bucket) -> Option<&Arc<Node>> {
        self.of_bucket[bucket.index()].as_ref()
    }

    /// The buckets that this topology and the next one find on different nodes.
    pub(super) fn moved_to<'a>(&'a self, next: &'a Self) -> impl Iterator<Item = Bucket> + 'a {
        Bucket::all().filter(|bucket| match (self.node(*bucket), next.node(*bucket)) {
            (Some(before), Some(after)) => before.address() != after.address(),
            _ => false,
        })
    }

    /// The node at an address, made if it is new.
    fn node_at(
        &mut self,
        address: &str,
        seed: &ConnectionInfo,
        timeout: Duration,
    ) -> Option<Arc<Node>> {
        if let Some(node) = self.nodes.get(address) {
            return Some(node.clone());
        }
        let (host, port) = address.rsplit_once(':')?;
        let addr = ConnectionAddr::Tcp(host.to_owned(), port.parse().ok()?);
        let info = with_nodelay(seed.clone().set_addr(addr));
        let node = Arc::new(Node::new(
            address.to_owned(),
            Client::open(info).ok()?,
            timeout,
        ));
        self.nodes.insert(address.to_owned(), node.clone());
        Some(node)
    }
}

impl Directory {
    /// Asks for the current owners and builds the next topology, keeping the
    /// nodes (and so the connections) of `current` that still serve. `None` when
    /// nobody answered.
    pub(super) async fn discover(
        &self,
        domain: &Name,
        current: &Topology,
        timeout: Duration,
    ) -> Option<Topology> {
        let (seed, owners) = match self {
            Self::Single(seed) => (seed, vec![Some(seed.addr().to_string()); BUCKETS]),
            Self::Cluster(seeds) => {
                let seed = seeds.first()?;
                (seed, cluster_owners(domain, seeds, current, timeout).await?)
            }
            Self::Sentinel { sentinels, service } => {
                let seed = sentinels.first()?;
                let master = sentinel_master(sentinels, service, timeout).await?;
                (seed, vec![Some(master); BUCKETS])
            }
        };
        let mut next = current.clone();
        next.of_bucket = owners
            .iter()
            .map(|owner| next.node_at(owner.as_deref()?, seed, timeout))
            .collect();
        let serving: Vec<_> = owners.into_iter().flatten().collect();
        next.nodes.retain(|address, _| serving.contains(address));
        Some(next)
    }
}

/// Asks every known node for its view and takes the one most of them share: a
/// master that was cut off keeps believing in itself, alone.
async fn cluster_owners(
    domain: &Name,
    seeds: &[ConnectionInfo],
    current: &Topology,
    timeout: Duration,
) -> Option<Owners> {
    let mut places: Vec<ConnectionInfo> = seeds.to_vec();
    for address in current.nodes.keys() {
        if let Some((host, port)) = address.rsplit_once(':')
            && let Ok(port) = port.parse()
        {
            let addr = ConnectionAddr::Tcp(host.to_owned(), port);
            places.push(seeds.first()?.clone().set_addr(addr));
        }
    }
    places.sort_by_key(|place| place.addr().to_string());
    places.dedup_by_key(|place| place.addr().to_string());
    let asked = places.iter().map(|place| async move {
        let mut slots = redis::cmd("CLUSTER");
        slots.arg("SLOTS");
        let answer = ask(place, &slots, timeout).await.ok()?;
        parse_slots(&answer, place, domain)
    });
    vote(asked.collect()).await
}

/// The answer most voters give. A majority of all ends the vote, so that a hung
/// voter holds nobody up.
async fn vote<T: Eq + Hash>(
    mut voters: FuturesUnordered<impl Future<Output = Option<T>>>,
) -> Option<T> {
    let enough = voters.len() / 2 + 1;
    let mut votes: HashMap<T, usize> = HashMap::new();
    while let Some(answer) = voters.next().await {
        let Some(view) = answer else { continue };
        let count = votes.entry(view).or_default();
        *count += 1;
        if *count >= enough {
            break;
        }
    }
    let most = votes.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(view, _)| view)
}

async fn sentinel_master(
    sentinels: &[ConnectionInfo],
    service: &str,
    timeout: Duration,
) -> Option<String> {
    let asked = sentinels.iter().map(|place| async move {
        let mut master = redis::cmd("SENTINEL");
        master.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
        let answer = ask(place, &master, timeout).await.ok()?;
        let (host, port): (String, String) = redis::from_redis_value(answer).ok()?;
        Some(format!("{host}:{port}"))
    });
    vote(asked.collect()).await
}

/// One question on a connection of its own: a directory must be readable while
/// the busy connections hang.
async fn ask(place: &ConnectionInfo, cmd: &redis::Cmd, timeout: Duration) -> RedisResult<Value> {
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout));
    let client = Client::open(with_nodelay(place.clone()))?;
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    cmd.query_async(&mut connection).await
}

/// Reads CLUSTER SLOTS: a list of `[first, last, [host, port, ...], replicas...]`.
fn parse_slots(answer: &Value, asked: &ConnectionInfo, domain: &Name) -> Option<Owners> {
    let Value::Array(ranges) = answer else {
        return None;
    };
    let mut of_slot: Vec<Option<String>> = vec![None; SLOTS.into()];
    for range in ranges {
        let Value::Array(parts) = range else {
            return None;
        };
        let [
            Value::Int(first),
            Value::Int(last),
            Value::Array(master),
            ..,
        ] = &parts[..]
        else {
            return None;
        };
        let [host, Value::Int(port), ..] = &master[..] else {
            return None;
        };
        let host = match (host, asked.addr()) {
            (Value::BulkString(host), _) if !host.is_empty() => {
                String::from_utf8(host.clone()).ok()?
            }
            // A node that does not know its own name means "where you asked me".
            (_, ConnectionAddr::Tcp(host, _)) => host.clone(),
            _ => return None,
        };
        let (first, last) = (usize::try_from(*first).ok()?, usize::try_from(*last).ok()?);
        let owner = format!("{host}:{port}");
        of_slot.get_mut(first..=last)?.fill(Some(owner));
    }
    Some(
        Bucket::all()
            .map(|b| of_slot[usize::from(slot(domain, b))].clone())
            .collect(),
    )
}

/// The hash slot of a bucket: CRC16 of what stands between the braces (Redis
/// Cluster specification, "Hash tags").
pub(super) fn slot(domain: &Name, bucket: Bucket) -> u16 {
    let tag = format!("{domain}:{:02x}", bucket.0);
    crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes()) % SLOTS
}

/// Small commands must not wait for more to join them.
fn with_nodelay(info: ConnectionInfo) -> ConnectionInfo {
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    info.set_tcp_settings(tcp)
}

/// Reads addresses as the settings give them.
pub(super) fn parse_url(url: &str) -> RedisResult<ConnectionInfo> {
    url.into_connection_info()
}
