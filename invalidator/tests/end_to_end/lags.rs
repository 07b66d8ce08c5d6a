//! Lags, and what they are at which share.

use std::fmt;

/// Lags in microseconds, in no order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lags(pub(crate) Vec<u64>);

/// The shares of a distribution that are told, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shares {
    pub(crate) count: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Lags {
    pub(crate) fn shares(&self) -> Shares {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = |share: f64| {
            let place = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
            sorted.get(place).map_or(0.0, |us| *us as f64 / 1_000.0)
        };
        Shares {
            count: sorted.len(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
        }
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            count,
            p50,
            p99,
            p999,
            max,
        } = self;
        write!(
            f,
            "p50 {p50:.1} ms, p99 {p99:.1} ms, p99.9 {p999:.1} ms, max {max:.1} ms ({count})"
        )
    }
}
