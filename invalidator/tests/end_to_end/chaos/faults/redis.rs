//! What is done to Redis.

use super::{HOLD, Scene};
use cache_core::testkit::until::{pace, until};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Long enough for a failover: a node is given up after 2 s.
const FAILOVER: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a memory policy is tried.
const POLICY: Duration = Duration::from_millis(700);
/// What is taken away of the memory in use, so that something must go.
const SHORT_BY: u64 = 60_000;
/// How many slots migrate.
const SLOTS: &str = "600";
const POLICIES: [&str; 8] = [
    "volatile-lfu",
    "volatile-lru",
    "volatile-ttl",
    "volatile-random",
    "allkeys-lfu",
    "allkeys-lru",
    "allkeys-random",
    "noeviction",
];

impl Scene {
    pub(super) async fn primary_killed(&self) {
        let (primary, _) = self.servers.shards().await[0];
        let cluster = &self.servers.cluster;
        cluster.kill9(primary).expect("it runs");
        pace(FAILOVER).await;
        cluster.restart(primary).await.expect("it comes back");
        cluster.wait_ok().await.expect("the cluster is whole");
    }

    pub(super) async fn primary_hangs(&self) {
        let (primary, _) = self.servers.shards().await[1];
        let cluster = &self.servers.cluster;
        cluster.pause(primary).await.expect("it runs");
        pace(FAILOVER).await;
        cluster.resume(primary).await.expect("it hangs");
        cluster.wait_ok().await.expect("the cluster is whole");
    }

    pub(super) async fn takeover(&self) {
        for (_, replica) in self.servers.shards().await {
            let words = ["CLUSTER", "FAILOVER", "TAKEOVER"];
            let done = self.servers.cluster.command::<()>(replica, &words).await;
            done.expect("a replica may always");
            pace(HOLD / 3).await;
        }
        let whole = self.servers.cluster.wait_ok().await;
        whole.expect("the cluster is whole");
    }

    pub(super) async fn replica_cut(&self) {
        let (primary, replica) = self.servers.shards().await[2];
        let cluster = &self.servers.cluster;
        cluster.pause(replica).await.expect("it runs");
        // What the primary sends from here on is nowhere but in itself.
        let cut = ["CLIENT", "KILL", "TYPE", "replica"];
        let cut = cluster.command::<i64>(primary, &cut).await;
        assert_eq!(cut.expect("it runs"), 1, "its one replica");
        pace(HOLD / 2).await;
        cluster.kill9(primary).expect("it runs");
        cluster.resume(replica).await.expect("it hangs");
        pace(FAILOVER).await;
        cluster.restart(primary).await.expect("it comes back");
        cluster.wait_ok().await.expect("the cluster is whole");
    }

    pub(super) async fn slots_migrate(&self) {
        let shards = self.servers.shards().await;
        let ids = [shards[0].0, shards[1].0].map(|port| self.servers.cluster.id(port));
        let [from, to] = ids;
        let (from, to) = (from.await.expect("it runs"), to.await.expect("it runs"));
        let at = format!("127.0.0.1:{}", shards[0].0);
        for (from, to) in [(&from, &to), (&to, &from)] {
            // After other faults the nodes may still tell each other who serves what.
            let agreed = || async { cluster_tool(&["check", &at]).await };
            let agreed = until(PATIENCE, "the nodes agree", agreed).await;
            agreed.expect("they do");
            let words = ["reshard", &at, "--cluster-from", from, "--cluster-to", to];
            let slots = ["--cluster-slots", SLOTS, "--cluster-yes"];
            assert!(
                cluster_tool(&[&words[..], &slots].concat()).await,
                "slots migrate"
            );
        }
        let whole = self.servers.cluster.wait_ok().await;
        whole.expect("the cluster is whole");
    }

    pub(super) async fn memory_pressure(&self) {
        for policy in POLICIES {
            for (primary, _) in self.servers.shards().await {
                self.configure(primary, "maxmemory-policy", policy).await;
                let limit = self.memory(primary).await.saturating_sub(SHORT_BY);
                self.configure(primary, "maxmemory", &limit.to_string())
                    .await;
            }
            pace(POLICY).await;
            self.end_of_pressure().await;
        }
    }

    /// Back to what operators are told to set.
    async fn end_of_pressure(&self) {
        for (primary, _) in self.servers.shards().await {
            self.configure(primary, "maxmemory", "0").await;
            let policy = "volatile-lfu";
            self.configure(primary, "maxmemory-policy", policy).await;
        }
    }

    async fn configure(&self, port: u16, name: &str, value: &str) {
        let words = ["CONFIG", "SET", name, value];
        // A node that another fault has just taken away is not short of memory.
        let _ = self.servers.cluster.command::<()>(port, &words).await;
    }

    async fn memory(&self, port: u16) -> u64 {
        let info = ["INFO", "memory"];
        let info = self.servers.cluster.command::<String>(port, &info).await;
        let info = info.unwrap_or_default();
        let used = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        used.and_then(|used| used.trim().parse().ok()).unwrap_or(0)
    }

    pub(super) async fn script_flush(&self) {
        for _ in 0..10 {
            for (primary, _) in self.servers.shards().await {
                let words = ["SCRIPT", "FLUSH", "SYNC"];
                let done = self.servers.cluster.command::<()>(primary, &words).await;
                done.expect("it runs");
            }
            pace(HOLD / 10).await;
        }
    }

    pub(super) async fn restarted_empty(&self) {
        let (primary, _) = self.servers.shards().await[0];
        let cluster = &self.servers.cluster;
        cluster.kill9(primary).expect("it runs");
        cluster.restart(primary).await.expect("it comes back");
        cluster.wait_ok().await.expect("the cluster is whole");
    }

    pub(super) async fn all_restarted_empty(&self) {
        let cluster = &self.servers.cluster;
        for port in cluster.ports() {
            cluster.kill9(port).expect("it runs");
        }
        for port in cluster.ports() {
            cluster.restart(port).await.expect("it comes back");
        }
        cluster.wait_ok().await.expect("the cluster is whole");
    }

    pub(super) async fn old_snapshot(&self) {
        let (primary, _) = self.servers.shards().await[1];
        let cluster = &self.servers.cluster;
        let saved = cluster.command::<()>(primary, &["SAVE"]).await;
        saved.expect("it runs");
        pace(HOLD / 2).await;
        cluster.kill9(primary).expect("it runs");
        cluster.restart(primary).await.expect("it comes back");
        cluster.forget_saved(primary).expect("it is ours");
        cluster.wait_ok().await.expect("the cluster is whole");
    }
}

/// Runs one of the steps of `redis-cli --cluster`; whether it went well.
async fn cluster_tool(words: &[&str]) -> bool {
    let mut tool = Command::new("redis-cli");
    tool.arg("--cluster").args(words).stdout(Stdio::null());
    tool.status()
        .await
        .expect("redis-cli is installed")
        .success()
}
