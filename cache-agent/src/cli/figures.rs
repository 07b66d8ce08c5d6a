//! What an agent did between two looks at it, a second.

use crate::cli::reach::Reached;
use crate::cli::say::Trouble;
use crate::proto::v1::admin_service_client::AdminServiceClient;
use crate::proto::v1::get_stats_response::CacheStats;
use crate::proto::v1::{GetStatsRequest, GetStatsResponse};
use std::time::Duration;

/// What one cache, or all of them, did in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Reads.
    pub reads: f64,
    /// Those answered from L1.
    pub l1: f64,
    /// Those answered from L2.
    pub l2: f64,
    /// Those answered with an expired value.
    pub stale: f64,
    /// Those that found nothing.
    pub misses: f64,
    /// Those that failed.
    pub errors: f64,
    /// Loads.
    pub loads: f64,
    /// Those that failed.
    pub loads_failed: f64,
    /// Reads that shared another's load.
    pub coalesced: f64,
}

/// Asks an agent for what it has counted of these caches; none for all.
///
/// # Errors
/// Whatever the call fails with.
pub async fn look(reached: &Reached, caches: &[String]) -> Result<GetStatsResponse, Trouble> {
    let request = GetStatsRequest {
        caches: caches.to_vec(),
    };
    let mut client = AdminServiceClient::new(reached.channel.clone());
    let answer = client.get_stats(reached.ask(request)).await;
    Ok(answer.map_err(|status| reached.why(&status))?.into_inner())
}

/// How long the agent has run.
pub fn uptime(stats: &GetStatsResponse) -> Duration {
    let uptime = stats.uptime.and_then(|span| Duration::try_from(span).ok());
    uptime.unwrap_or_default()
}

impl Rates {
    /// What all caches together did between two looks. Nothing if the agent began anew in
    /// between.
    pub fn of_all(before: &GetStatsResponse, after: &GetStatsResponse) -> Self {
        Self::between(before, after, |_| true)
    }

    /// The same of one cache.
    pub fn of(cache: &str, before: &GetStatsResponse, after: &GetStatsResponse) -> Self {
        Self::between(before, after, |one| one.cache == cache)
    }

    /// The share of reads that did not find nothing; `None` if there were none.
    pub fn hit_rate(&self) -> Option<f64> {
        share(self.l1 + self.l2 + self.stale, self.reads)
    }

    /// The share that L1 answered.
    pub fn l1_rate(&self) -> Option<f64> {
        share(self.l1, self.reads)
    }

    /// The share that L2 answered, of what L1 did not.
    pub fn l2_rate(&self) -> Option<f64> {
        share(self.l2, self.reads - self.l1)
    }

    /// The share that was answered with an expired value.
    pub fn stale_rate(&self) -> Option<f64> {
        share(self.stale, self.reads)
    }

    fn between(
        before: &GetStatsResponse,
        after: &GetStatsResponse,
        is: impl Fn(&CacheStats) -> bool,
    ) -> Self {
        let seconds = uptime(after).saturating_sub(uptime(before)).as_secs_f64();
        if seconds <= 0.0 {
            return Self::default();
        }
        let sum = |stats: &GetStatsResponse, count: fn(&CacheStats) -> u64| {
            let those = stats.caches.iter().filter(|cache| is(cache));
            those.map(count).sum::<u64>()
        };
        let rate = |count| sum(after, count).saturating_sub(sum(before, count)) as f64 / seconds;
        let mut rates = Self {
            reads: 0.0,
            l1: rate(|cache| cache.l1),
            l2: rate(|cache| cache.l2),
            stale: rate(|cache| cache.stale),
            misses: rate(|cache| cache.misses),
            errors: rate(|cache| cache.errors),
            loads: rate(|cache| cache.loads),
            loads_failed: rate(|cache| cache.loads_failed),
            coalesced: rate(|cache| cache.coalesced),
        };
        rates.reads = rates.l1 + rates.l2 + rates.stale + rates.misses + rates.errors;
        rates
    }
}

fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| (part / whole).clamp(0.0, 1.0))
}

/// `97.3%`, or a dash.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}%", share * 100.0))
}

/// `950`, `12.3k`, `4.56M`: as much as a column has room for.
pub fn short(number: f64) -> String {
    match number {
        n if n < 9_999.5 => format!("{n:.0}"),
        n if n < 999_950.0 => format!("{:.1}k", n / 1e3),
        n if n < 999_950_000.0 => format!("{:.2}M", n / 1e6),
        n => format!("{:.2}G", n / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert;

    fn stats(uptime: u64, caches: &[(&str, [u64; 5])]) -> GetStatsResponse {
        let caches = caches
            .iter()
            .map(|(name, [l1, l2, stale, misses, errors])| CacheStats {
                cache: (*name).to_owned(),
                l1: *l1,
                l2: *l2,
                stale: *stale,
                misses: *misses,
                errors: *errors,
                ..CacheStats::default()
            });
        GetStatsResponse {
            uptime: Some(convert::span(Duration::from_secs(uptime))),
            caches: caches.collect(),
            ..GetStatsResponse::default()
        }
    }

    #[test]
    fn rates_are_differences_over_the_agents_own_time() {
        let before = stats(10, &[("a", [100, 10, 0, 5, 0]), ("b", [0; 5])]);
        let after = stats(12, &[("a", [280, 18, 2, 15, 0]), ("b", [20, 0, 0, 0, 0])]);
        let a = Rates::of("a", &before, &after);
        assert_eq!((a.reads, a.l1, a.l2), (100.0, 90.0, 4.0));
        assert_eq!(a.hit_rate(), Some(0.95));
        assert_eq!(a.l2_rate(), Some(0.4), "of what L1 missed");
        assert_eq!(Rates::of_all(&before, &after).reads, 110.0);
    }

    #[test]
    fn an_agent_that_began_anew_and_one_at_rest_have_no_rates() {
        let (before, after) = (stats(10, &[("a", [100; 5])]), stats(1, &[("a", [1; 5])]));
        assert_eq!(Rates::of_all(&before, &after), Rates::default());
        assert_eq!(Rates::default().hit_rate(), None);
        assert_eq!(percent(None), "-");
    }

    #[test]
    fn numbers_fit_their_columns() {
        let texts = [0.0, 9_999.0, 10_000.0, 999_949.0, 1e6, 123_456_789.0, 2e9].map(short);
        let expected = ["0", "9999", "10.0k", "999.9k", "1.00M", "123.46M", "2.00G"];
        assert_eq!(texts, expected);
    }
}
