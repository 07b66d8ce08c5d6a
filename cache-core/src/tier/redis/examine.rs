//! What the nodes of a deployment say of themselves, for people who look for trouble.

use super::deployment::{Deployment, RedisAccess, directory, unreachable};
use super::directory::Topology;
use super::node::Node;
use crate::clock::Clock;
use crate::error::Error;
use crate::model::key::{Bucket, Name};
use futures_util::future::join_all;
use redis::{RedisResult, Value};
use std::time::Duration;

/// What one look at a deployment found.
#[derive(Clone, Debug)]
pub struct Examined {
    /// Every node that serves, by address.
    pub nodes: Vec<ExaminedNode>,
    /// How many buckets no node serves.
    pub unserved: usize,
}

/// One node.
#[derive(Clone, Debug)]
pub struct ExaminedNode {
    /// `host:port`.
    pub address: String,
    /// What it says, or why it says nothing.
    pub said: Result<NodeState, String>,
}

/// What a node says of itself.
#[derive(Clone, Debug)]
pub struct NodeState {
    /// The server's version.
    pub version: String,
    /// Whether it is a replica, which refuses writes.
    pub is_replica: bool,
    /// What it does when its memory is full, where it says so.
    pub eviction: Option<String>,
    /// The limit of its memory, in bytes; `None` without one.
    pub memory_max: Option<u64>,
    /// The memory in use, in bytes.
    pub memory: u64,
    /// Whether it runs scripts for this user; otherwise, what it says.
    pub scripts: Result<(), String>,
    /// How far its clock is ahead of this process's, in milliseconds; give or take
    /// [`took`](Self::took).
    pub ahead_ms: i64,
    /// How long it took to answer.
    pub took: Duration,
}

/// Finds every node and asks each for its state. Nothing is written.
///
/// # Errors
/// As [`super::RedisRemote::open`].
pub async fn examine(
    domain: &Name,
    deployment: &Deployment,
    access: &RedisAccess,
    timeout: Duration,
    clock: &dyn Clock,
) -> Result<Examined, Error> {
    let directory = directory(deployment, access)?;
    let found = directory
        .discover(domain, &Topology::empty(), timeout)
        .await;
    let Some(topology) = found else {
        return Err(unreachable(deployment, directory.trouble(timeout).await));
    };
    let unserved = Bucket::all().filter(|bucket| topology.node(*bucket).is_none());
    let unserved = unserved.count();
    let asked = topology.nodes.values().map(|node| async {
        ExaminedNode {
            address: node.address().to_owned(),
            said: ask(node, clock).await.map_err(|error| error.to_string()),
        }
    });
    let mut nodes = join_all(asked).await;
    nodes.sort_by(|a, b| a.address.cmp(&b.address));
    Ok(Examined { nodes, unserved })
}

async fn ask(node: &Node, clock: &dyn Clock) -> RedisResult<NodeState> {
    // The connection comes first: it is not the node's time.
    node.ping().await?;
    let mut pipe = redis::pipe();
    pipe.cmd("TIME")
        .cmd("INFO")
        .cmd("EVAL")
        .arg("return 1")
        .arg(0);
    pipe.ignore_errors();
    let began = clock.now();
    let answers = node.send(&pipe).await?;
    let took = clock.now().since(began);
    let here_ms = clock.wall_ms();
    let mut answers = answers.into_iter();
    let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
    let (time, info, script) = (next(), next()?, next());
    let info: String = redis::from_redis_value(info)?;
    Ok(NodeState {
        scripts: script.map(|_| ()).map_err(|error| error.to_string()),
        ahead_ms: time
            .ok()
            .and_then(|time| ahead_ms(time, here_ms))
            .unwrap_or(0),
        took,
        ..read(&info)
    })
}

/// What `INFO` says.
fn read(info: &str) -> NodeState {
    let field = |name: &str| {
        let fields = info.lines().filter_map(|line| line.split_once(':'));
        let found = fields.into_iter().find(|(field, _)| *field == name);
        found.map(|(_, value)| value.trim().to_owned())
    };
    let number = |name: &str| field(name).and_then(|text| text.parse::<u64>().ok());
    let version = field("valkey_version").or_else(|| field("redis_version"));
    NodeState {
        version: version.unwrap_or_default(),
        is_replica: field("role").is_some_and(|role| role != "master"),
        eviction: field("maxmemory_policy"),
        memory_max: number("maxmemory").filter(|most| *most > 0),
        memory: number("used_memory").unwrap_or(0),
        scripts: Ok(()),
        ahead_ms: 0,
        took: Duration::ZERO,
    }
}

/// How far the node's clock is ahead, of an answer to `TIME`.
fn ahead_ms(time: Value, here_ms: u64) -> Option<i64> {
    let (seconds, micros): (String, String) = redis::from_redis_value(time).ok()?;
    let node = seconds.parse::<i64>().ok()? * 1_000 + micros.parse::<i64>().ok()? / 1_000;
    Some(node - i64::try_from(here_ms).ok()?)
}
