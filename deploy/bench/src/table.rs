//! Turns and their medians.

use cache_core::clock::{Clock, SystemClock};
use std::fmt::Write;

/// Something that is measured.
pub struct Row<'a> {
    pub name: &'a str,
    pub work: Box<dyn FnMut() + 'a>,
}

/// Runs all rows in turn, so that a noisy moment hits them alike, and says nanoseconds for
/// each of `operations`: the median and the range of the turns.
pub fn run(title: &str, operations: usize, turns: usize, mut rows: Vec<Row<'_>>) -> String {
    let clock = SystemClock::new();
    let mut took = vec![Vec::new(); rows.len()];
    for turn in 0..=turns {
        for (row, took) in rows.iter_mut().zip(&mut took) {
            let began = clock.now();
            (row.work)();
            // The first turn warms up.
            if turn > 0 {
                took.push(clock.now().since(began).as_nanos() as f64 / operations as f64);
            }
        }
    }
    let mut text = format!("\n{title}\n\n");
    for (row, took) in rows.iter().zip(&mut took) {
        took.sort_by(f64::total_cmp);
        let (low, median, high) = (took[0], took[took.len() / 2], took[took.len() - 1]);
        let name = row.name;
        let _ = writeln!(text, "{name:<28}{median:>9.1} ns  ({low:.1} to {high:.1})");
    }
    text
}
