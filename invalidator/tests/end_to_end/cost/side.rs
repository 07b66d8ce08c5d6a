//! The sides that are compared, and what is counted of each.

use super::bare::Bare;
use super::load;
use crate::reader::Places;
use cache_core::connect;
use cache_core::event::{Silent, Tier};
use cache_core::source::Cause;
use cache_core::testkit::fleet::until_trusted;
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, Domain, Policy, ReadThrough, Role};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// One way to cache.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    /// Two tiers, and deletes.
    Bare,
    /// The shipping cache.
    Guarded {
        /// How many invalidations a second are looked at again.
        inspected: u32,
        /// How many hits in a million are compared with the source.
        shadow: u32,
    },
}

/// All of them, the one that the others are compared with first.
pub(crate) const SIDES: [(&str, Side); 4] = [
    ("bare", Side::Bare),
    ("fence, floors, leases", guarded(0, 0)),
    ("and the inspector", guarded(1_000, 0)),
    ("and shadow compare, 0.1 %", guarded(1_000, 1_000)),
];

const fn guarded(inspected: u32, shadow: u32) -> Side {
    Side::Guarded { inspected, shadow }
}

impl Side {
    /// The most loads that comparing these reads may have cost: its share of the hits,
    /// twice that for what a draw may be off, and those of the time to become warm.
    pub(crate) fn compared_at_most(&self, reads: &Reads) -> u64 {
        match self {
            Self::Bare | Self::Guarded { shadow: 0, .. } => super::READERS as u64,
            Self::Guarded { shadow, .. } => {
                super::READERS as u64 + reads.all() * u64::from(2 * shadow) / 1_000_000
            }
        }
    }
}

/// Whoever reads.
#[derive(Clone)]
pub(crate) enum Reader {
    Bare(Arc<Bare>),
    Guarded(Arc<Domain>, ReadThrough<u64>),
}

impl Reader {
    pub(crate) async fn guarded(places: &Places, shadow: u32, loads: Arc<AtomicU64>) -> Self {
        let domain = connect::open(&places.settings(), Role::Member, Arc::new(Silent)).await;
        let domain = domain.expect("the servers are up");
        // What is kept before that is dropped when it comes.
        until_trusted(&domain).await;
        let policy = Policy {
            shadow_per_million: shadow,
            ..Policy::new("rows").expect("a name")
        };
        let cache: Cache<u64> = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
        let reads = cache.read_through(move |_| {
            let loads = loads.clone();
            async move { Ok::<_, Cause>(Some(load(&loads).await)) }
        });
        Self::Guarded(domain, reads)
    }

    /// Reads one key; who answered.
    pub(crate) async fn read(&self, key: u64, loads: &AtomicU64) -> Tier {
        match self {
            Self::Bare(bare) => bare.read(key, loads).await,
            Self::Guarded(_, reads) => {
                let hit = reads.get(key.to_string()).await;
                hit.expect("the source answers")
                    .expect("every key is there")
                    .tier()
            }
        }
    }

    pub(crate) async fn leave(self) {
        if let Self::Guarded(domain, _) = self {
            domain.leave().await;
        }
    }
}

/// What was read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reads {
    by_l1: u64,
    by_l2: u64,
    by_source: u64,
    /// What the source was asked.
    pub(crate) loads: u64,
    pub(crate) seconds: f64,
}

impl Reads {
    pub(crate) fn count(&mut self, tier: Tier) {
        match tier {
            Tier::L1 => self.by_l1 += 1,
            Tier::L2 => self.by_l2 += 1,
            Tier::None => self.by_source += 1,
        }
    }

    pub(crate) fn plus(self, other: &Self) -> Self {
        Self {
            by_l1: self.by_l1 + other.by_l1,
            by_l2: self.by_l2 + other.by_l2,
            by_source: self.by_source + other.by_source,
            loads: self.loads + other.loads,
            seconds: self.seconds + other.seconds,
        }
    }

    pub(crate) fn all(&self) -> u64 {
        self.by_l1 + self.by_l2 + self.by_source
    }

    /// Reads that no tier answered.
    pub(crate) fn missed(&self) -> u64 {
        self.by_source
    }

    pub(crate) fn share_of_l1(&self) -> f64 {
        self.by_l1 as f64 / self.all().max(1) as f64
    }

    /// In words, beside those of another side.
    pub(crate) fn line(&self, other: &Self) -> String {
        let a_second = |reads: &Self| reads.all() as f64 / reads.seconds;
        let percent = |count: u64| 100.0 * count as f64 / self.all().max(1) as f64;
        format!(
            "{:>8.0} reads/s ({:.2} of bare), L1 {:.3} %, L2 {:.3} %, source {:.3} %, {} loads",
            a_second(self),
            a_second(self) / a_second(other),
            percent(self.by_l1),
            percent(self.by_l2),
            percent(self.by_source),
            self.loads,
        )
    }
}
