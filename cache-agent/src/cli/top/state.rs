//! What the dashboard knows: the last looks, the history, what is chosen.

use crate::cli::figures::Rates;
use crate::cli::scrape::Stages;
use crate::cli::stat::invalidations;
use crate::proto::v1::GetStatsResponse;
use crate::proto::v1::get_stats_response::CacheStats;
use crate::proto::v1::list_hot_keys_response::HotKey;
use std::collections::VecDeque;

/// How many looks the history holds: two minutes of seconds.
const HISTORY: usize = 120;

/// By what caches are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The most reads first.
    #[default]
    Reads,
    /// The lowest hit rate first.
    Hits,
    /// The most loads first.
    Loads,
    /// By name.
    Name,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is counted since the start.
    pub stats: CacheStats,
    /// What it does in a second.
    pub rates: Rates,
}

/// One moment of the history.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// Reads a second.
    pub reads: f64,
    /// Their hit rate.
    pub hit_rate: Option<f64>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct State {
    /// The last look.
    pub stats: GetStatsResponse,
    /// What all caches do in a second.
    pub all: Rates,
    /// Invalidations a second.
    pub invalidations: f64,
    /// The caches, in order.
    pub rows: Vec<Row>,
    /// The hottest keys of the chosen cache, or of all.
    pub hot: Vec<HotKey>,
    /// Where changes spend their time, if an invalidator is looked at.
    pub stages: Option<Stages>,
    /// The last moments, the oldest first.
    pub history: VecDeque<Moment>,
    /// Which row is chosen; none for all caches.
    pub chosen: Option<usize>,
    /// By what rows are ordered.
    pub order: Order,
    /// Whether it stands still.
    pub paused: bool,
    /// Why the last look failed.
    pub trouble: Option<String>,
    begun: bool,
}

impl State {
    /// Another look at the agent.
    pub fn saw(&mut self, stats: GetStatsResponse) {
        self.trouble = None;
        let before = std::mem::replace(&mut self.stats, stats);
        if !std::mem::replace(&mut self.begun, true) {
            // Rates take two looks.
            self.arrange(&self.stats.clone());
            return;
        }
        self.all = Rates::of_all(&before, &self.stats);
        self.invalidations = invalidations(&before, &self.stats);
        self.arrange(&before);
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Moment {
            reads: self.all.reads,
            hit_rate: self.all.hit_rate(),
        });
    }

    /// A look failed.
    pub fn missed(&mut self, why: String) {
        self.trouble = Some(why);
    }

    /// The chosen cache.
    pub fn chosen_cache(&self) -> Option<&str> {
        let row = self.rows.get(self.chosen?)?;
        Some(&row.stats.cache)
    }

    /// Chooses the row below, or above; all caches are above the first one.
    pub fn move_by(&mut self, down: bool) {
        let last = self.rows.len().checked_sub(1);
        self.chosen = match (self.chosen, down) {
            (None, true) => last.map(|_| 0),
            (None, false) => None,
            (Some(at), true) => last.map(|last| (at + 1).min(last)),
            (Some(at), false) => at.checked_sub(1),
        };
    }

    /// Orders by the next thing.
    pub fn reorder(&mut self) {
        self.order = match self.order {
            Order::Reads => Order::Hits,
            Order::Hits => Order::Loads,
            Order::Loads => Order::Name,
            Order::Name => Order::Reads,
        };
        self.put_in_order(self.rows.clone());
    }

    fn arrange(&mut self, before: &GetStatsResponse) {
        let rows = self.stats.caches.iter().map(|stats| Row {
            stats: stats.clone(),
            rates: Rates::of(&stats.cache, before, &self.stats),
        });
        self.put_in_order(rows.collect());
    }

    /// These are the rows; the chosen cache stays chosen.
    fn put_in_order(&mut self, mut rows: Vec<Row>) {
        let order = self.order;
        rows.sort_by(|a, b| {
            let ordered = match order {
                Order::Reads => b.rates.reads.total_cmp(&a.rates.reads),
                // What is not read has no rate, and comes last.
                Order::Hits => hits(a).total_cmp(&hits(b)),
                Order::Loads => b.rates.loads.total_cmp(&a.rates.loads),
                Order::Name => std::cmp::Ordering::Equal,
            };
            ordered.then_with(|| a.stats.cache.cmp(&b.stats.cache))
        });
        self.chosen = self
            .chosen_cache()
            .and_then(|name| rows.iter().position(|row| row.stats.cache == name));
        self.rows = rows;
    }
}

fn hits(row: &Row) -> f64 {
    row.rates.hit_rate().unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert;
    use std::time::Duration;

    fn stats(second: u64, caches: &[(&str, u64, u64)]) -> GetStatsResponse {
        let caches = caches.iter().map(|(name, l1, misses)| CacheStats {
            cache: (*name).to_owned(),
            l1: *l1,
            misses: *misses,
            loads: *misses,
            ..CacheStats::default()
        });
        GetStatsResponse {
            uptime: Some(convert::span(Duration::from_secs(second))),
            caches: caches.collect(),
            ..GetStatsResponse::default()
        }
    }

    fn names(state: &State) -> Vec<&str> {
        let rows = state.rows.iter();
        rows.map(|row| row.stats.cache.as_str()).collect()
    }

    #[test]
    fn the_chosen_cache_stays_chosen_however_rows_are_ordered() {
        let mut state = State::default();
        state.saw(stats(1, &[("a", 0, 0), ("b", 0, 0), ("c", 0, 0)]));
        assert_eq!(names(&state), ["a", "b", "c"]);
        state.move_by(true);
        assert_eq!(state.chosen_cache(), Some("a"));
        state.saw(stats(2, &[("a", 10, 5), ("b", 90, 10), ("c", 0, 0)]));
        assert_eq!(names(&state), ["b", "a", "c"], "by reads");
        assert_eq!(state.chosen_cache(), Some("a"));
        state.reorder();
        assert_eq!(names(&state), ["a", "b", "c"], "the lowest hit rate first");
        assert_eq!(state.chosen_cache(), Some("a"));
        state.move_by(false);
        assert_eq!(
            state.chosen_cache(),
            None,
            "above the first row are all caches"
        );
        (0..9).for_each(|_| state.move_by(true));
        assert_eq!(
            state.chosen_cache(),
            Some("c"),
            "below the last row is nothing"
        );
    }

    #[test]
    fn the_history_is_as_long_as_two_minutes() {
        let mut state = State::default();
        for second in 0..300 {
            state.saw(stats(second, &[("a", second * 10, 0)]));
        }
        assert_eq!(state.history.len(), HISTORY);
        assert!(state.history.iter().all(|moment| moment.reads == 10.0));
    }
}
