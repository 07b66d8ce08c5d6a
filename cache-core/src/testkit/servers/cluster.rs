//! A Redis Cluster of three primaries and three replicas.

use std::ops::RangeInclusive;

use redis::FromRedisValue;
use tempfile::TempDir;

use super::node::{Node, ask, replication_says, url};
use super::port::Port;
use super::topology::{NodeView, Role, view};
use super::{READY, ServerError, with_retry};
use crate::testkit::certificates::Guard;
use crate::testkit::until::until;

const PRIMARIES: usize = 3;
const NODES: usize = 2 * PRIMARIES;

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;

/// Six nodes that form one cluster.
///
/// A primary counts as failed after 2 s (`cluster-node-timeout`), so its
/// replica takes over some 3 to 4 s after a kill or a pause.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Member>,
    folder: TempDir,
}

#[derive(Debug)]
struct Member {
    node: Node,
    /// For the nodes among themselves.
    bus: Port,
}

impl RedisCluster {
    /// Starts six nodes, joins them and waits until each replica is in sync.
    ///
    /// # Errors
    /// When redis-server is missing or the cluster does not come together.
    pub async fn start() -> Result<Self, ServerError> {
        Self::launch(None, &[]).await
    }

    /// As [`start`](Self::start), with TLS at [`tls_urls`](Self::tls_urls) and among the
    /// nodes, and with more settings: `("cluster-announce-hostname", "localhost")`.
    ///
    /// # Errors
    /// When redis-server is missing or the cluster does not come together.
    pub async fn start_tls(guard: &Guard, more: &[(&str, &str)]) -> Result<Self, ServerError> {
        Self::launch(Some(guard), more).await
    }

    async fn launch(guard: Option<&Guard>, more: &[(&str, &str)]) -> Result<Self, ServerError> {
        with_retry(|| async {
            let folder =
                TempDir::new().map_err(ServerError::io("making a folder for a Redis Cluster"))?;
            let mut nodes = Vec::with_capacity(NODES);
            for _ in 0..NODES {
                nodes.push(Member::new(&folder, guard, more)?);
            }
            for member in &nodes {
                member.spawn()?;
            }
            let cluster = Self { nodes, folder };
            for member in &cluster.nodes {
                member.node.ready().await?;
            }
            cluster.join().await?;
            cluster.wait_ok().await?;
            Ok(cluster)
        })
        .await
    }

    /// All six nodes as URLs, running or not.
    pub fn urls(&self) -> Vec<String> {
        self.ports().into_iter().map(url).collect()
    }

    /// All six nodes as URLs with TLS, running or not.
    pub fn tls_urls(&self) -> Vec<String> {
        let port = |member: &Member| member.node.tls_number();
        let ports = self.nodes.iter().map(port);
        ports
            .map(|port| format!("rediss://127.0.0.1:{port}"))
            .collect()
    }

    /// The ports of all six nodes, running or not.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(Member::port).collect()
    }

    /// The cluster as the first node that answers sees it, ordered by port.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn nodes(&self) -> Result<Vec<NodeView>, ServerError> {
        let answering = self.answering();
        let first = answering.first().ok_or_else(|| ServerError::NoSuch {
            doing: "ask for the cluster's nodes",
            subject: "all of them are down or paused".to_owned(),
        })?;
        view(*first).await
    }

    /// The port of the primary that serves `slot`.
    ///
    /// # Errors
    /// When no node answers or none serves the slot.
    pub async fn primary_of_slot(&self, slot: u16) -> Result<u16, ServerError> {
        let nodes = self.nodes().await?;
        let serves = |(from, to): &(u16, u16)| RangeInclusive::new(from, to).contains(&&slot);
        nodes
            .iter()
            .find(|node| node.role == Role::Primary && node.slots.iter().any(serves))
            .map(|node| node.port)
            .ok_or_else(|| ServerError::NoSuch {
                doing: "find as the primary of a slot",
                subject: format!("slot {slot} of {nodes:?}"),
            })
    }

    /// The port of a replica of the primary on `port`.
    ///
    /// # Errors
    /// When no node answers or it has no replica.
    pub async fn replica_of(&self, port: u16) -> Result<u16, ServerError> {
        let nodes = self.nodes().await?;
        nodes
            .iter()
            .find(|node| node.role == Role::Replica { of: port })
            .map(|node| node.port)
            .ok_or_else(|| ServerError::NoSuch {
                doing: "find as a replica",
                subject: format!("of port {port} in {nodes:?}"),
            })
    }

    /// Kills the node on `port` with SIGKILL; it is gone when this returns.
    ///
    /// # Errors
    /// When no node has that port.
    pub fn kill9(&self, port: u16) -> Result<(), ServerError> {
        self.member(port)?.node.process.kill9();
        Ok(())
    }

    /// Stops the node on `port` with SIGSTOP: a hung server.
    ///
    /// # Errors
    /// When no node has that port or it is down.
    pub async fn pause(&self, port: u16) -> Result<(), ServerError> {
        self.member(port)?.node.process.pause().await
    }

    /// Undoes [`pause`](Self::pause).
    ///
    /// # Errors
    /// When no node has that port or it is down.
    pub async fn resume(&self, port: u16) -> Result<(), ServerError> {
        self.member(port)?.node.process.resume().await
    }

    /// Starts the node on `port` again, with what it had saved (nothing, if it was
    /// never told to) and its place in the cluster, and waits until it answers.
    ///
    /// A primary restarted before its replica took over is still primary, and
    /// its replica becomes as empty as it is.
    ///
    /// # Errors
    /// When no node has that port or it does not come up.
    pub async fn restart(&self, port: u16) -> Result<(), ServerError> {
        let member = self.member(port)?;
        member.spawn()?;
        member.node.ready().await
    }

    /// Sends one command to the node on `port`, on a connection of its own.
    ///
    /// # Errors
    /// When no node has that port, it is down, or it refuses.
    pub async fn command<T: FromRedisValue>(
        &self,
        port: u16,
        words: &[&str],
    ) -> Result<T, ServerError> {
        ask(self.member(port)?.port(), words).await
    }

    /// The id by which the other nodes know the node on `port`.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub async fn id(&self, port: u16) -> Result<String, ServerError> {
        self.command(port, &["CLUSTER", "MYID"]).await
    }

    /// Removes what the node on `port` has saved: its next restart is empty again.
    ///
    /// # Errors
    /// When no node has that port, or the file cannot be removed.
    pub fn forget_saved(&self, port: u16) -> Result<(), ServerError> {
        let folder = self
            .folder
            .path()
            .join(self.member(port)?.port().to_string());
        match std::fs::remove_file(folder.join("dump.rdb")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ServerError::io("removing what a node had saved")(error))
            }
            _ => Ok(()),
        }
    }

    /// Waits until the cluster serves all slots again: every answering node
    /// says `cluster_state:ok`, all see the same parts, each slot has a primary
    /// that answers, and each answering replica is in sync with one.
    ///
    /// # Errors
    /// When that takes longer than 30 s.
    pub async fn wait_ok(&self) -> Result<(), ServerError> {
        until(READY, "the Redis Cluster serves all slots", || async {
            self.is_ok().await.unwrap_or(false)
        })
        .await?;
        Ok(())
    }

    async fn is_ok(&self) -> Result<bool, ServerError> {
        let answering = self.answering();
        let mut agreed: Option<Vec<NodeView>> = None;
        for port in &answering {
            let info = ask::<String>(*port, &["CLUSTER", "INFO"]).await?;
            let mut seen = view(*port).await?;
            seen.retain(|node| answering.contains(&node.port));
            let ok = info.lines().any(|line| line == "cluster_state:ok");
            if !ok || agreed.as_ref().is_some_and(|agreed| *agreed != seen) {
                return Ok(false);
            }
            agreed = Some(seen);
        }
        let nodes = agreed.unwrap_or_default();
        for node in &nodes {
            if let Role::Replica { of } = node.role {
                let up = replication_says(node.port, "master_link_status:up").await;
                if !up || !answering.contains(&of) {
                    return Ok(false);
                }
            }
        }
        let served: u32 = nodes
            .iter()
            .flat_map(|node| &node.slots)
            .map(|(from, to)| u32::from(to - from) + 1)
            .sum();
        Ok(nodes.len() == answering.len() && served == u32::from(SLOTS))
    }

    /// Makes one cluster of six strangers. What `redis-cli --cluster create`
    /// does too, but it sleeps between its steps.
    async fn join(&self) -> Result<(), ServerError> {
        for (index, member) in self.nodes.iter().enumerate() {
            // Distinct from the start, so that no two nodes must settle it.
            let epoch = (index + 1).to_string();
            ask::<()>(member.port(), &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await?;
        }
        let (primaries, replicas) = self.nodes.split_at(PRIMARIES);
        for (index, primary) in primaries.iter().enumerate() {
            let bound = |i: usize| usize::from(SLOTS) * i / PRIMARIES;
            let (from, to) = (bound(index), bound(index + 1) - 1);
            let words = [&from.to_string(), &to.to_string()];
            let port = primary.port();
            ask::<()>(port, &["CLUSTER", "ADDSLOTSRANGE", words[0], words[1]]).await?;
        }
        // Each meets each: waiting for gossip would take seconds.
        for (index, member) in self.nodes.iter().enumerate() {
            for other in &self.nodes[index + 1..] {
                let (port, bus) = (other.met_at().to_string(), other.bus.number().to_string());
                let meet = ["CLUSTER", "MEET", "127.0.0.1", &port, &bus];
                ask::<()>(member.port(), &meet).await?;
            }
        }
        until(READY, "all six nodes know each other", || async {
            self.all_met().await.unwrap_or(false)
        })
        .await?;
        for (primary, replica) in primaries.iter().zip(replicas) {
            let id: String = ask(primary.port(), &["CLUSTER", "MYID"]).await?;
            ask::<()>(replica.port(), &["CLUSTER", "REPLICATE", &id]).await?;
        }
        Ok(())
    }

    async fn all_met(&self) -> Result<bool, ServerError> {
        for port in self.ports() {
            let table: String = ask(port, &["CLUSTER", "NODES"]).await?;
            let met = |line: &&str| line.contains(" connected") && !line.contains("handshake");
            if table.lines().filter(met).count() != NODES {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn answering(&self) -> Vec<u16> {
        let up = self.nodes.iter().filter(|m| m.node.process.answers());
        up.map(Member::port).collect()
    }

    fn member(&self, port: u16) -> Result<&Member, ServerError> {
        let found = self.nodes.iter().find(|member| member.port() == port);
        found.ok_or_else(|| ServerError::NoSuch {
            doing: "reach in this cluster",
            subject: format!("port {port}; it has {:?}", self.ports()),
        })
    }
}

impl Member {
    fn new(
        folder: &TempDir,
        guard: Option<&Guard>,
        more: &[(&str, &str)],
    ) -> Result<Self, ServerError> {
        let bus = Port::reserve()?;
        let node = Node::new(folder.path(), "cluster node", Port::reserve()?)?
            .holds_data(folder.path())
            .with(&[
                ("cluster-enabled", "yes"),
                ("cluster-config-file", "nodes.conf"),
                ("cluster-port", &bus.number().to_string()),
                ("cluster-announce-ip", "127.0.0.1"),
                ("cluster-node-timeout", "2000"),
                // One lost shard must not stop the others.
                ("cluster-require-full-coverage", "no"),
                ("cluster-allow-reads-when-down", "yes"),
            ])
            .with(more)
            .guarded(guard)?;
        let node = match guard {
            Some(_) => node.with(&[("tls-cluster", "yes")]),
            None => node,
        };
        Ok(Self { node, bus })
    }

    /// Where the others meet it.
    fn met_at(&self) -> u16 {
        self.node.tls_number()
    }

    fn port(&self) -> u16 {
        self.node.number()
    }

    fn spawn(&self) -> Result<(), ServerError> {
        self.bus.free();
        self.node.spawn()
    }
}
