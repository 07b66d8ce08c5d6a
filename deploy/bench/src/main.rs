//! L1 hits beside peers.

mod hits;
mod load;
mod table;

fn main() {
    hits::run(10_000);
    if std::env::args().nth(1).is_none() { hits::run(1_000_000); }
}
