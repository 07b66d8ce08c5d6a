//! What must be true of a cache's series at every moment, and what at rest: the equations
//! of the manual (`docs/series.md`), held against a look at them.

use super::scrape::Scrape;

/// What counters of one cache add up to.
#[derive(Clone, Copy, Debug)]
struct Sums<'s> {
    scrape: &'s Scrape,
    cache: &'s str,
}

impl Sums<'_> {
    fn of(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let mut all = vec![("cache", self.cache)];
        all.extend_from_slice(labels);
        self.scrape.sum(&format!("cacheaside_{name}"), &all)
    }

    /// All of a label's values together.
    fn each(&self, name: &str, label: &str, values: &[&str]) -> f64 {
        let one = |value: &&str| self.of(name, &[(label, value)]);
        values.iter().map(one).sum()
    }
}

/// The equations that do not hold, in words. `at_rest` says that nothing goes on, and that no
/// process has died with something in hand.
pub fn broken(scrape: &Scrape, at_rest: bool) -> Vec<String> {
    let caches = scrape.values_of("cacheaside_gets_total", "cache");
    let of_one = |cache: &String| broken_of(Sums { scrape, cache }, at_rest);
    caches.iter().flat_map(of_one).collect()
}

fn broken_of(sums: Sums<'_>, at_rest: bool) -> Vec<String> {
    let mut equal = always_equal(sums);
    let mut at_least = kept_and_ended(sums, at_rest);
    if at_rest {
        equal.append(&mut at_least);
    }
    let unequal = equal.into_iter().filter(|(_, left, right)| left != right);
    let less = at_least.into_iter().filter(|(_, left, right)| left < right);
    let cache = sums.cache;
    let say = |(what, left, right)| format!("{cache}: {what}: {left} and {right}");
    unequal.chain(less).map(say).collect()
}

/// What is equal at every moment.
fn always_equal(sums: Sums<'_>) -> Vec<(&'static str, f64, f64)> {
    let results = ["hit", "negative", "stale", "miss", "error"];
    let ends = [
        "success",
        "not_found",
        "error",
        "timeout",
        "shed",
        "refused",
    ];
    let gets = sums.of("gets_total", &[]);
    let loads = sums.of("loads_total", &[]);
    let by_tier = |tier| {
        let gets = sums.of("gets_total", &[("tier", tier)]);
        let timed = sums.of("get_duration_seconds_count", &[("tier", tier)]);
        ("gets beyond L1, timed", gets, timed)
    };
    vec![
        (
            "gets, by result",
            gets,
            sums.each("gets_total", "result", &results),
        ),
        (
            "loads, by result",
            loads,
            sums.each("loads_total", "result", &ends),
        ),
        (
            "loads, timed",
            loads,
            sums.of("load_duration_seconds_count", &[]),
        ),
        by_tier("l2"),
        by_tier("none"),
    ]
}

/// What began, and what came to its end: at rest these are equal.
fn kept_and_ended(sums: Sums<'_>, at_rest: bool) -> Vec<(&'static str, f64, f64)> {
    let granted = sums.of("leases_total", &[("outcome", "granted")]);
    let ended = ["filled", "superseded", "expired", "released"];
    let put = sums.of("puts_total", &[("tier", "l1")]);
    let gone = sums.of("l1_drops_total", &[]);
    // Told ten times a second: some that it counts may be among those let go since.
    let there = match at_rest {
        true => sums.of("l1_entries", &[]),
        false => 0.0,
    };
    vec![
        (
            "leases granted, and ended",
            granted,
            sums.each("leases_total", "outcome", &ended),
        ),
        ("entries put into L1, let go, and there", put, gone + there),
    ]
}
