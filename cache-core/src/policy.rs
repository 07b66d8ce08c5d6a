//! A cache's policy: every limit and lifetime of one named set of entries.

use crate::error::{Error, Kind};
use crate::model::key::Name;
use crate::model::lifetime::{Lifetime, TTL_MAX};
use crate::random::MILLION;
use std::time::Duration;

/// The largest value any cache may allow, in bytes.
pub const VALUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The longest time until all loads of a cache may run.
pub const RAMP_MAX: Duration = Duration::from_secs(600);
// A decoder accepts whatever a policy can allow.
const _: () = assert!(VALUE_BYTES_MAX <= crate::wire::codec::DECODE_BYTES_MAX);

/// What a value set without a lease is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnleasedSet {
    /// Nothing: it only invalidates the key. The default, because the value may
    /// have been read before a change that is already applied.
    #[default]
    Invalidates,
    /// It is stored if it is not below the key's floor. The caller takes the risk
    /// of storing a value that is older than its as-of.
    Stores,
}

/// When a value that is still asked for is loaded anew, before it expires.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refresh {
    /// The share of its lifetime after which a read begins it at the latest: 0.8.
    pub share: f64,
    /// How many mean load times earlier than its end it is on average, where that is
    /// earlier still: 1, as the paper says; 0 for none.
    pub beta: f64,
    /// How many run at once in this process: 8.
    pub at_once: usize,
    /// How many begin in a second in this process: 100.
    pub per_second: u32,
    /// How long a value may come to live that is never found changed: its lifetime doubles
    /// with each refresh that finds the same bytes, up to this, and begins anew with the
    /// first that does not. `None` for always the same lifetime: no longer one than was asked
    /// for.
    pub ttl_max: Option<Duration>,
}

impl Default for Refresh {
    fn default() -> Self {
        Self {
            share: 0.8,
            beta: 1.0,
            at_once: 8,
            per_second: 100,
            ttl_max: None,
        }
    }
}

/// The settings of one cache. Every default has its reason in the manual.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The cache's name.
    pub name: Name,
    /// How long entries live: 5 min, 30 s for absences, 10 % jitter; an hour more when the
    /// source is slow or fails.
    pub lifetime: Lifetime,
    /// The bytes of L1: 64 MiB.
    pub l1_bytes: u64,
    /// How long L1 keeps what nobody asks for: as long as anything. However often it is
    /// asked for, nothing outlives its lifetime.
    pub l1_idle: Option<Duration>,
    /// The largest encoded value: 1 MiB.
    pub value_bytes_max: usize,
    /// How long a read waits for a load when a value is at hand that has only expired:
    /// 100 ms. The load goes on.
    pub soft_timeout: Duration,
    /// How long such a value is then answered before the next load begins, after one that
    /// was slow or failed: 5 s.
    pub load_backoff: Duration,
    /// How long one load may take: 5 s.
    pub load_timeout: Duration,
    /// How many loads may run at once in this process: 64.
    pub loads_max: usize,
    /// How long it takes at least, after a quiet time, until so many run: 750 ms. Zero
    /// for at once.
    pub loads_ramp: Duration,
    /// Whether a load goes on when every caller who waited for it has gone away: yes, since
    /// the next one may be about to ask. Otherwise it is dropped, within 50 ms.
    pub loads_go_on: bool,
    /// How long a load may queue for its turn: 1 s.
    pub load_queue: Duration,
    /// The source is left alone after the loads of so many different keys failed or took too
    /// long, and none was answered in between: 10. Zero for never.
    pub breaker_keys: usize,
    /// How long it is left alone until one load tries again: 1 s.
    pub breaker_pause: Duration,
    /// Whether values are loaded anew before they expire: not unless asked for, since it
    /// is extra load.
    pub refresh: Option<Refresh>,
    /// How long one write through the cache may take: 5 s. Its key is under quarantine
    /// twice as long at most.
    pub write_timeout: Duration,
    /// How long a lease lasts: 10 s, longer than a load may take.
    pub lease: Duration,
    /// How long a reader waits for another process's load: 1 s.
    pub wait: Duration,
    /// What a value set without a lease is worth.
    pub unleased_set: UnleasedSet,
    /// Of a million hits of calls that bring a loader, how many are compared with the
    /// source in the background: 0. Each costs a load.
    pub shadow_per_million: u32,
}

/// Whether something holds, and what it is.
type Rule = (bool, &'static str);

impl Refresh {
    fn is_sound(&self) -> bool {
        let some = 1..=10_000;
        (0.0..=1.0).contains(&self.share)
            && (0.0..=100.0).contains(&self.beta)
            && some.contains(&self.at_once)
            && some.contains(&(self.per_second as usize))
            && self.ttl_max.is_none_or(|most| most <= TTL_MAX)
    }
}

impl Policy {
    /// The default policy of a cache.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a name outside its limits.
    pub fn new(name: &str) -> Result<Self, Error> {
        Ok(Self::named(Name::new(name)?))
    }

    /// The default policy of a cache whose name is not known yet.
    pub(crate) fn unnamed() -> Self {
        Self::named(Name::new("unnamed").expect("a name within its limits"))
    }

    fn named(name: Name) -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self {
            name,
            lifetime: Lifetime {
                ttl: minutes(5),
                negative_ttl: Duration::from_secs(30),
                stale_ttl: minutes(60),
                l1_ttl: minutes(5),
                jitter: 0.1,
            },
            l1_bytes: 64 * 1024 * 1024,
            l1_idle: None,
            value_bytes_max: 1024 * 1024,
            soft_timeout: Duration::from_millis(100),
            load_backoff: Duration::from_secs(5),
            load_timeout: Duration::from_secs(5),
            loads_max: 64,
            loads_ramp: Duration::from_millis(750),
            loads_go_on: true,
            load_queue: Duration::from_secs(1),
            breaker_keys: 10,
            breaker_pause: Duration::from_secs(1),
            refresh: None,
            write_timeout: Duration::from_secs(5),
            lease: Duration::from_secs(10),
            wait: Duration::from_secs(1),
            unleased_set: UnleasedSet::default(),
            shadow_per_million: 0,
        }
    }

    /// How long a writer's quarantine lasts.
    pub(crate) fn quarantine(&self) -> Duration {
        self.write_timeout.saturating_mul(2)
    }

    /// Checks what the fields cannot say by their types.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with every contradiction.
    pub fn check(&self) -> Result<(), Error> {
        let broken = self.broken();
        if broken.is_empty() {
            return Ok(());
        }
        Err(
            Error::new(Kind::Invalid, "reading a policy", self.name.as_str())
                .hint(broken.join("; ")),
        )
    }

    /// The rules that do not hold.
    pub(crate) fn broken(&self) -> Vec<&'static str> {
        let rules = self.of_values().into_iter().chain(self.of_loads());
        let broken = rules.filter(|(holds, _)| !holds);
        broken.map(|(_, rule)| rule).collect()
    }

    /// The rules for what is kept, and whether each holds.
    fn of_values(&self) -> [Rule; 5] {
        let lifetime = &self.lifetime;
        let fresh = lifetime.ttl.max(lifetime.negative_ttl).max(lifetime.l1_ttl);
        let longest = fresh.max(lifetime.stale_ttl);
        let shortest = lifetime.ttl.min(lifetime.l1_ttl);
        [
            (
                shortest >= Duration::from_millis(1),
                "a ttl is at least 1 ms",
            ),
            (longest <= TTL_MAX, "a ttl is at most 30 days"),
            (
                self.l1_idle
                    .is_none_or(|idle| idle >= Duration::from_millis(1) && idle <= TTL_MAX),
                "L1 keeps what nobody asks for between 1 ms and 30 days",
            ),
            (
                (0.0..=1.0).contains(&lifetime.jitter),
                "the jitter is a share from 0 to 1",
            ),
            (
                (1..=VALUE_BYTES_MAX).contains(&self.value_bytes_max),
                "the largest value is between 1 byte and 8 MiB",
            ),
        ]
    }

    /// The rules for loads and writes, and whether each holds.
    fn of_loads(&self) -> [Rule; 9] {
        let second = Duration::from_secs(1);
        let day = 24 * 3600 * second;
        [
            (
                (1..=100_000).contains(&self.loads_max),
                "1 to 100000 loads may run at once",
            ),
            (
                self.loads_ramp <= RAMP_MAX,
                "all loads may run after at most 10 min",
            ),
            (
                self.load_timeout >= Duration::from_millis(1) && self.load_timeout <= day,
                "a load takes between 1 ms and a day",
            ),
            (
                self.breaker_keys <= 1_000 && self.breaker_pause <= 60 * second,
                "a source is left alone after at most 1000 keys, for at most a minute",
            ),
            (
                self.refresh.is_none_or(|refresh| refresh.is_sound()),
                "a refresh comes after a share from 0 to 1, with a beta from 0 to 100, and 1 to \
                 10000 run at once and a second; no lifetime grows beyond 30 days",
            ),
            (
                self.write_timeout >= Duration::from_millis(1)
                    && self.quarantine() < crate::tier::MARK_KEEP,
                "a write takes between 1 ms and 5 min",
            ),
            (
                self.lease > self.load_timeout,
                "a lease lasts longer than a load may take",
            ),
            (
                self.shadow_per_million <= MILLION,
                "of a million hits, at most a million are compared",
            ),
            (
                self.lease < crate::tier::MARK_KEEP,
                "a lease ends before L2 forgets its mark (10 min)",
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_holds_its_own_rules() {
        assert!(Policy::new("users").unwrap().check().is_ok());
    }

    #[test]
    fn every_contradiction_is_named_at_once() {
        let mut policy = Policy::new("users").unwrap();
        policy.lifetime.jitter = 1.5;
        policy.loads_max = 0;
        policy.lease = policy.load_timeout;
        let error = policy.check().unwrap_err().to_string();
        for part in ["jitter", "100000 loads", "a lease lasts longer"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
