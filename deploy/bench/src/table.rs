//! Turns and their medians.

use std::time::Instant;

/// Something that is measured.
pub struct Row<'a> {
    pub name: &'a str,
    pub work: Box<dyn FnMut() + 'a>,
}

/// Runs all rows in turn, so that a noisy moment hits them alike, and prints nanoseconds for
/// each of `operations`: the median and the range of the turns.
pub fn run(title: &str, operations: usize, turns: usize, mut rows: Vec<Row<'_>>) {
    let mut took = vec![Vec::new(); rows.len()];
    for turn in 0..=turns {
        for (row, took) in rows.iter_mut().zip(&mut took) {
            let began = Instant::now();
            (row.work)();
            // The first turn warms up.
            if turn > 0 {
                took.push(began.elapsed().as_nanos() as f64 / operations as f64);
            }
        }
    }
    println!("\n{title}\n");
    for (row, took) in rows.iter().zip(&mut took) {
        took.sort_by(f64::total_cmp);
        let (low, median, high) = (took[0], took[took.len() / 2], took[took.len() - 1]);
        println!("{:<28}{median:>9.1} ns  ({low:.1} to {high:.1})", row.name);
    }
}
