//! What `INFO` says: enough for clients that wait until a server is ready, for
//! `redis-cli --stat`, and for exporters.

use super::counts::Counts;
use crate::calls::Agent;
use crate::stats::Member;
use cache_core::clock::Tick;
use parking_lot::Mutex;
use std::fmt::Write;
use std::time::Duration;

/// The version of Redis whose protocol and commands these are a part of. Clients choose by
/// it what they send.
pub const REDIS_VERSION: &str = "7.2.0";

/// The shortest time over which a rate is measured.
const RATE_OVER_MIN: Duration = Duration::from_millis(500);

/// Commands a second, measured between looks.
#[derive(Debug)]
pub struct Rate(Mutex<(Tick, u64, u64)>);

impl Rate {
    /// Nothing was measured yet.
    pub fn new(now: Tick) -> Self {
        Self(Mutex::new((now, 0, 0)))
    }

    fn look(&self, now: Tick, count: u64) -> u64 {
        let mut last = self.0.lock();
        let (at, before, rate) = *last;
        let over = now.since(at);
        if over < RATE_OVER_MIN {
            return rate;
        }
        let rate = (count.saturating_sub(before) as f64 / over.as_secs_f64()).round() as u64;
        *last = (now, count, rate);
        rate
    }
}

/// The text of `INFO`.
pub fn text(agent: &Agent, counts: &Counts, rate: &Rate, began: Tick) -> String {
    let now = agent.clock.now();
    let member = Member::of(&agent.watcher, &agent.caches);
    let sum =
        |part: fn(&crate::stats::CacheStats) -> u64| member.caches.iter().map(part).sum::<u64>();
    let (hits, misses) = (sum(|one| one.l1 + one.l2), sum(|one| one.misses));
    let (entries, bytes) = (sum(|one| one.l1_entries), sum(|one| one.l1_bytes));
    let uptime = now.since(began).as_secs();
    let lines = [
        ("# Server", None),
        ("redis_version", Some(REDIS_VERSION.to_owned())),
        ("redis_mode", Some("standalone".to_owned())),
        ("process_id", Some(std::process::id().to_string())),
        ("uptime_in_seconds", Some(uptime.to_string())),
        ("server_name", Some("cache-agent".to_owned())),
        ("# Clients", None),
        (
            "connected_clients",
            Some(counts.connections.get().to_string()),
        ),
        ("blocked_clients", Some("0".to_owned())),
        ("# Memory", None),
        ("used_memory", Some(bytes.to_string())),
        (
            "used_memory_human",
            Some(format!("{:.2}M", bytes as f64 / 1_048_576.0)),
        ),
        ("# Persistence", None),
        ("loading", Some("0".to_owned())),
        ("# Stats", None),
        (
            "total_connections_received",
            Some(counts.accepted.get().to_string()),
        ),
        (
            "total_commands_processed",
            Some(counts.all.get().to_string()),
        ),
        (
            "instantaneous_ops_per_sec",
            Some(rate.look(now, counts.all.get()).to_string()),
        ),
        ("keyspace_hits", Some(hits.to_string())),
        ("keyspace_misses", Some(misses.to_string())),
        ("expired_keys", Some("0".to_owned())),
        ("evicted_keys", Some("0".to_owned())),
        ("# Replication", None),
        ("role", Some("master".to_owned())),
        ("connected_slaves", Some("0".to_owned())),
        ("# Keyspace", None),
        (
            "db0",
            Some(format!("keys={entries},expires={entries},avg_ttl=0")),
        ),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        // Writing to a string does not fail.
        let _ = match value {
            None if text.is_empty() => write!(text, "{name}\r\n"),
            None => write!(text, "\r\n{name}\r\n"),
            Some(value) => write!(text, "{name}:{value}\r\n"),
        };
    }
    text
}
