//! How long an entry lives: a backstop that is independent of invalidation.

use std::time::Duration;

/// The lifetimes of a cache's entries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lifetime {
    /// How long a value may be served, from the moment it was stored.
    pub ttl: Duration,
    /// How long a known absence may be served.
    pub negative_ttl: Duration,
    /// How long beyond that either may be served, where the source is slow or fails.
    pub stale_ttl: Duration,
    /// The most of `ttl` that one process keeps a copy in L1.
    pub l1_ttl: Duration,
    /// The share of a lifetime, 0 to 1, that is cut off at random, so that entries
    /// stored together do not expire together.
    pub jitter: f64,
}

/// The longest any entry may live: 30 days.
pub const TTL_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long a value of [`AsOf::Unknown`](super::as_of::AsOf::Unknown) lives at
/// most: nothing but this bounds how stale it can be.
pub const UNKNOWN_TTL_MAX: Duration = Duration::from_secs(5);

impl Lifetime {
    /// One entry's lifetime; `random` is uniform in 0 to 1.
    ///
    /// The jitter only shortens: `ttl` stays the promise.
    pub fn draw(&self, absent: bool, random: f64) -> Duration {
        let whole = if absent { self.negative_ttl } else { self.ttl };
        whole.mul_f64(1.0 - self.jitter * random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_only_shortens() {
        let lifetime = Lifetime {
            ttl: Duration::from_secs(100),
            negative_ttl: Duration::from_secs(10),
            stale_ttl: Duration::ZERO,
            l1_ttl: Duration::from_secs(100),
            jitter: 0.1,
        };
        assert_eq!(lifetime.draw(false, 0.0), Duration::from_secs(100));
        assert_eq!(lifetime.draw(false, 1.0), Duration::from_secs(90));
        assert_eq!(lifetime.draw(true, 0.5), Duration::from_millis(9_500));
    }
}
