//! A cache in one expression: each setting by the name that it has in the manual.

use crate::cache::Cache;
use crate::domain::Domain;
use crate::error::{Error, Kind};
use crate::policy::{Policy, Refresh, UnleasedSet};
use crate::wire::codec::{Bincode, Codec};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// A cache that is yet to be opened: the defaults, and what was said otherwise.
///
/// ```
/// # use cache_core::{Cache, Domain, Error};
/// # use std::{sync::Arc, time::Duration};
/// # fn open(domain: &Arc<Domain>) -> Result<Cache<String>, Error> {
/// let users = Cache::<String>::builder("users")
///     .ttl(Duration::from_secs(3600))
///     .loads_max(16)
///     .open(domain)?;
/// # Ok(users)
/// # }
/// ```
#[must_use = "it is opened by `open`"]
pub struct Builder<V, C = Bincode> {
    policy: Policy,
    /// The name that was given, if it is none.
    bad_name: Option<(String, Error)>,
    /// Whether L1's lifetime follows `ttl`.
    l1_follows: bool,
    codec: C,
    values: PhantomData<fn() -> V>,
}

impl<V> Cache<V> {
    /// Begins a cache with every setting at its default, and bincode as its codec.
    pub fn builder(name: &str) -> Builder<V> {
        let (policy, bad_name) = match Policy::new(name) {
            Ok(policy) => (policy, None),
            Err(error) => (Policy::unnamed(), Some((name.to_owned(), error))),
        };
        Builder {
            policy,
            bad_name,
            l1_follows: true,
            codec: Bincode::default(),
            values: PhantomData,
        }
    }
}

/// One method for each setting.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident: $kind:ty => $($field:ident).+;)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $name: $kind) -> Self {
            self.policy.$($field).+ = $name;
            self
        }
    )*};
}

impl<V, C> Builder<V, C> {
    settings! {
        /// How long an absence is served: 30 s.
        negative_ttl: Duration => lifetime.negative_ttl;
        /// How long beyond its lifetime an entry may be served where the source is slow or
        /// fails: 1 h.
        stale_ttl: Duration => lifetime.stale_ttl;
        /// The share of a lifetime that is cut off at random: 0.1.
        jitter: f64 => lifetime.jitter;
        /// The bytes of L1: 64 MiB.
        l1_bytes: u64 => l1_bytes;
        /// The largest encoded value, in bytes: 1 MiB.
        value_bytes_max: usize => value_bytes_max;
        /// How long a read waits for a load when an expired value is at hand: 100 ms.
        soft_timeout: Duration => soft_timeout;
        /// How long an expired value is then served until the next load begins: 5 s.
        load_backoff: Duration => load_backoff;
        /// How long one load may take: 5 s. The lease must last longer.
        load_timeout: Duration => load_timeout;
        /// How many loads may run at once in this process: 64.
        loads_max: usize => loads_max;
        /// How long it takes after a quiet time until so many run: 750 ms.
        loads_ramp: Duration => loads_ramp;
        /// Whether a load goes on when every caller who waited for it has gone: yes.
        loads_go_on: bool => loads_go_on;
        /// How long a load may queue for its turn: 1 s.
        load_queue: Duration => load_queue;
        /// After how many different keys that failed in a row the source is left alone: 10.
        breaker_keys: usize => breaker_keys;
        /// How long it is left alone until one load tries again: 1 s.
        breaker_pause: Duration => breaker_pause;
        /// How long one write through the cache may take: 5 s.
        write_timeout: Duration => write_timeout;
        /// How long a lease lasts: 10 s.
        lease: Duration => lease;
        /// How long a reader waits for another process's load: 1 s.
        wait: Duration => wait;
        /// What a value set without a lease is worth: it invalidates.
        unleased_set: UnleasedSet => unleased_set;
        /// Of a million hits, how many are compared with the source: 0.
        shadow_per_million: u32 => shadow_per_million;
    }

    /// How long a value is served: 5 min. In L1 as well, unless [`Builder::l1_ttl`] says
    /// otherwise.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.policy.lifetime.ttl = ttl;
        if self.l1_follows {
            self.policy.lifetime.l1_ttl = ttl;
        }
        self
    }

    /// How long one process keeps a copy in L1: as long as `ttl`.
    pub fn l1_ttl(mut self, l1_ttl: Duration) -> Self {
        self.policy.lifetime.l1_ttl = l1_ttl;
        self.l1_follows = false;
        self
    }

    /// How long L1 keeps what nobody asks for: not told from the rest by default.
    pub fn l1_idle(mut self, l1_idle: Duration) -> Self {
        self.policy.l1_idle = Some(l1_idle);
        self
    }

    /// That values are loaded anew before they expire, and when: not by default.
    pub fn refresh(mut self, refresh: Refresh) -> Self {
        self.policy.refresh = Some(refresh);
        self
    }

    /// How values become bytes: [`Bincode`].
    pub fn codec<D>(self, codec: D) -> Builder<V, D> {
        Builder {
            policy: self.policy,
            bad_name: self.bad_name,
            l1_follows: self.l1_follows,
            codec,
            values: PhantomData,
        }
    }

    /// The policy that these settings make.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with everything that is wrong, at once.
    pub fn policy(&self) -> Result<Policy, Error> {
        let Some((name, error)) = &self.bad_name else {
            self.policy.check()?;
            return Ok(self.policy.clone());
        };
        let broken = self.policy.broken();
        let wrong = Error::new(Kind::Invalid, "reading a policy", name.as_str());
        Err(match broken.is_empty() {
            true => error.clone(),
            false => wrong.hint(format!("{error}; {}", broken.join("; "))),
        })
    }

    /// Opens the cache in a domain.
    ///
    /// # Errors
    /// As [`Builder::policy`].
    pub fn open(self, domain: &Arc<Domain>) -> Result<Cache<V>, Error>
    where
        V: Send + Sync + 'static,
        C: Codec<V>,
    {
        let policy = self.policy()?;
        Cache::open(domain, policy, self.codec)
    }
}

impl<V, C> fmt::Debug for Builder<V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("policy", &self.policy)
            .field("bad_name", &self.bad_name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lifetime::Lifetime;

    fn builder(name: &str) -> Builder<u64> {
        Cache::builder(name)
    }

    #[test]
    fn a_builder_without_settings_makes_the_default_policy() {
        let policy = builder("users").policy().unwrap();
        assert_eq!(policy, Policy::new("users").unwrap());
    }

    #[test]
    fn every_setting_reaches_its_field() {
        let second = |count| Duration::from_secs(count);
        let lifetime = Lifetime {
            ttl: second(61),
            negative_ttl: second(62),
            stale_ttl: second(63),
            l1_ttl: second(64),
            jitter: 0.2,
        };
        let expected = Policy {
            name: Policy::new("users").unwrap().name,
            lifetime,
            l1_bytes: 1,
            l1_idle: Some(second(15)),
            value_bytes_max: 2,
            soft_timeout: second(3),
            load_backoff: second(4),
            load_timeout: second(5),
            loads_max: 6,
            loads_ramp: second(7),
            loads_go_on: false,
            load_queue: second(8),
            breaker_keys: 9,
            breaker_pause: second(10),
            refresh: Some(Refresh::default()),
            write_timeout: second(11),
            lease: second(12),
            wait: second(13),
            unleased_set: UnleasedSet::Stores,
            shadow_per_million: 14,
        };
        let built = builder("users")
            .l1_ttl(second(64))
            .ttl(second(61))
            .negative_ttl(second(62))
            .stale_ttl(second(63))
            .jitter(0.2)
            .l1_bytes(1)
            .l1_idle(second(15))
            .value_bytes_max(2)
            .soft_timeout(second(3))
            .load_backoff(second(4))
            .load_timeout(second(5))
            .loads_max(6)
            .loads_ramp(second(7))
            .loads_go_on(false)
            .load_queue(second(8))
            .breaker_keys(9)
            .breaker_pause(second(10))
            .refresh(Refresh::default())
            .write_timeout(second(11))
            .lease(second(12))
            .wait(second(13))
            .unleased_set(UnleasedSet::Stores)
            .shadow_per_million(14);
        assert_eq!(built.policy().unwrap(), expected);
    }

    #[test]
    fn l1_follows_the_lifetime_of_values_unless_told_otherwise() {
        let hour = Duration::from_secs(3600);
        let policy = builder("users").ttl(hour).policy().unwrap();
        assert_eq!(policy.lifetime.l1_ttl, hour);
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let built = builder("No Name").jitter(2.0).loads_max(0);
        let error = built.policy().unwrap_err().to_string();
        for part in ["No Name", "a-z 0-9", "the jitter is", "100000 loads"] {
            assert!(error.contains(part), "{error}");
        }
        let error = builder("").policy().unwrap_err().to_string();
        assert!(error.contains("a-z 0-9"), "{error}");
    }
}
