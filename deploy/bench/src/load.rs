//! What is read: keys whose popularity falls off as in most services.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Draws so many of `keys`, the first ones most often: Zipf's law with exponent 0.99, by the
/// method of Gray and others (SIGMOD 1994), as YCSB has it.
pub fn zipf(keys: usize, draws: usize, seed: u64) -> Vec<u32> {
    const THETA: f64 = 0.99;
    let zeta = |n: usize| (1..=n).map(|i| (i as f64).powf(-THETA)).sum::<f64>();
    let (all, two) = (zeta(keys), zeta(2));
    let alpha = 1.0 / (1.0 - THETA);
    let eta = (1.0 - (2.0 / keys as f64).powf(1.0 - THETA)) / (1.0 - two / all);
    let mut random = StdRng::seed_from_u64(seed);
    let draw = |_| {
        let u: f64 = random.random();
        let uz = u * all;
        let rank = if uz < 1.0 {
            0
        } else if uz < 1.0 + 0.5f64.powf(THETA) {
            1
        } else {
            (keys as f64 * (eta * u - eta + 1.0).powf(alpha)) as usize
        };
        // Popular keys lie anywhere, not side by side.
        let rank = rank.min(keys - 1) as u64;
        ((rank.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) % keys as u64) as u32
    };
    (0..draws).map(draw).collect()
}
