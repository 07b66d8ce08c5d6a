//! Which node serves which bucket: asked of a cluster, of sentinels, or fixed.

use super::node::Node;
use super::place::Place;
use crate::model::key::{BUCKETS, Bucket, Name};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{RedisError, RedisResult, Value};
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
    Single(Box<Place>),
    /// A cluster, found through any of its nodes.
    Cluster(Vec<Place>),
    /// A master and its replicas, watched by sentinels.
    Sentinel {
        /// Where the sentinels are.
        sentinels: Vec<Place>,
        /// What lets a connection to a master in; its address is a sentinel's.
        door: Box<Place>,
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
    fn node_at(&mut self, address: &str, seed: &Place, timeout: Duration) -> Option<Arc<Node>> {
        if let Some(node) = self.nodes.get(address) {
            return Some(node.clone());
        }
        let place = match address == seed.address() {
            // It may be a socket, which has no port.
            true => seed.clone(),
            false => {
                let (host, port) = address.rsplit_once(':')?;
                seed.at(host, port.parse().ok()?)
            }
        };
        let node = Arc::new(Node::new(address.to_owned(), place, timeout));
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
            Self::Single(seed) => (&**seed, vec![Some(seed.address()); BUCKETS]),
            Self::Cluster(seeds) => {
                let seed = seeds.first()?;
                (seed, cluster_owners(domain, seeds, current, timeout).await?)
            }
            Self::Sentinel {
                sentinels,
                door,
                service,
            } => {
                let master = sentinel_master(sentinels, service, timeout).await?;
                (&**door, vec![Some(master); BUCKETS])
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

    /// Why nobody answers: the first of those in the settings that says so.
    pub(super) async fn trouble(&self, timeout: Duration) -> Option<RedisError> {
        let (places, question) = match self {
            Self::Single(place) => (std::slice::from_ref(&**place), "PING"),
            Self::Cluster(places) => (&places[..], "CLUSTER"),
            Self::Sentinel { sentinels, .. } => (&sentinels[..], "PING"),
        };
        let mut question = redis::cmd(question);
        if let Self::Cluster(_) = self {
            question.arg("SLOTS");
        }
        for place in places {
            if let Err(error) = ask(place, &question, timeout).await {
                return Some(error);
            }
        }
        None
    }
}

/// Asks every known node for its view and takes the one most of them share: a
/// master that was cut off keeps believing in itself, alone.
async fn cluster_owners(
    domain: &Name,
    seeds: &[Place],
    current: &Topology,
    timeout: Duration,
) -> Option<Owners> {
    let mut places: Vec<Place> = seeds.to_vec();
    for address in current.nodes.keys() {
        if let Some((host, port)) = address.rsplit_once(':')
            && let Ok(port) = port.parse()
        {
            places.push(seeds.first()?.at(host, port));
        }
    }
    places.sort_by_key(Place::address);
    places.dedup_by_key(|place| place.address());
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

async fn sentinel_master(sentinels: &[Place], service: &str, timeout: Duration) -> Option<String> {
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
async fn ask(place: &Place, cmd: &redis::Cmd, timeout: Duration) -> RedisResult<Value> {
    let mut connection = place.connect(timeout).await?;
    cmd.query_async(&mut connection).await
}

/// Reads CLUSTER SLOTS: a list of `[first, last, [host, port, ...], replicas...]`.
fn parse_slots(answer: &Value, asked: &Place, domain: &Name) -> Option<Owners> {
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
        let host = match (host, asked.host()) {
            (Value::BulkString(host), _) if !host.is_empty() => {
                String::from_utf8(host.clone()).ok()?
            }
            // A node that does not know its own name means "where you asked me".
            (_, Some(host)) => host.to_owned(),
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
