//! What the agent hears of its caches: series for Prometheus, and the lags of the
//! last while for the built-in page.

use crate::feed::Feed;
use cache_core::Name;
use cache_core::event::{CacheId, Event, Observer};
use cache_core::metrics::Metrics;
use cache_core::random::{Random, SystemRandom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// How many lags are remembered: the last minute or so of a busy stream, and small
/// enough to be sorted for each look at the page.
const LAGS: usize = 4_096;

/// An observer that counts, and remembers the last lags.
#[derive(Debug)]
pub struct Watcher {
    /// The series.
    pub metrics: Metrics,
    /// What is told to those who watch.
    pub feed: Arc<Feed>,
    lags: Lags,
}

/// The last lags, in a ring without a lock: observers run on hot paths.
#[derive(Debug)]
struct Lags {
    count: AtomicU64,
    millis: Box<[AtomicU32; LAGS]>,
}

/// How long the last changes took from their source to this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LagSummary {
    /// How many were measured since the start.
    pub count: u64,
    /// The middle one of the last 4096.
    pub p50: Duration,
    /// 99 % of them were at most this.
    pub p99: Duration,
    /// The longest of them.
    pub max: Duration,
}

impl Watcher {
    /// An observer over these series.
    pub fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            feed: Arc::new(Feed::new(SystemRandom.next())),
            lags: Lags {
                count: AtomicU64::new(0),
                millis: Box::new([const { AtomicU32::new(0) }; LAGS]),
            },
        }
    }

    /// The lags of the last while. The wall clocks they come from count whole
    /// milliseconds.
    pub fn lag(&self) -> LagSummary {
        let count = self.lags.count.load(Ordering::Relaxed);
        let kept = usize::try_from(count).unwrap_or(LAGS).min(LAGS);
        let lags = self.lags.millis[..kept].iter();
        let mut millis: Vec<u32> = lags.map(|lag| lag.load(Ordering::Relaxed)).collect();
        millis.sort_unstable();
        let at = |share: usize| {
            let index = (millis.len() * share).div_ceil(100).saturating_sub(1);
            Duration::from_millis(millis.get(index).copied().unwrap_or(0).into())
        };
        LagSummary {
            count,
            p50: at(50),
            p99: at(99),
            max: at(100),
        }
    }
}

impl Observer for Watcher {
    fn register(&self, cache: &Name) -> CacheId {
        self.metrics.register(cache)
    }

    fn observe(&self, event: &Event<'_>) {
        if let Event::Applied { lag: Some(lag), .. } = event {
            let at = self.lags.count.fetch_add(1, Ordering::Relaxed) as usize % LAGS;
            let millis = u32::try_from(lag.as_millis()).unwrap_or(u32::MAX);
            self.lags.millis[at].store(millis, Ordering::Relaxed);
        }
        if let Event::Trust { held } = event {
            self.feed.hears(*held);
        }
        self.metrics.observe(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::event::TargetKind;
    use prometheus_client::registry::Registry;

    #[test]
    fn the_last_lags_are_summed_up() {
        let watcher = Watcher::new(Metrics::new(&mut Registry::default()));
        assert_eq!(watcher.lag(), LagSummary::default());
        // The first hundred are pushed out by as many as are remembered.
        let lags = std::iter::repeat_n(9_000, 100).chain((1..=LAGS as u64).map(|n| n % 100 + 1));
        for millis in lags {
            let lag = Some(Duration::from_millis(millis));
            watcher.observe(&Event::Applied {
                kind: TargetKind::Key,
                lag,
            });
        }
        let lag = watcher.lag();
        assert_eq!(lag.count, 100 + LAGS as u64);
        assert_eq!(lag.max, Duration::from_millis(100));
        assert!((49..=51).contains(&lag.p50.as_millis()), "{lag:?}");
        assert!((98..=100).contains(&lag.p99.as_millis()), "{lag:?}");
    }
}
