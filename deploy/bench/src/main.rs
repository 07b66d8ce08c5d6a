//! L1 hits beside peers.

mod hits;
mod load;
mod table;

fn main() {
    for keys in [10_000, 1_000_000] {
        print!("{}", hits::run(keys));
    }
}
