//! Interleavings, searched: the shipped files that stand between an old value and an
//! answer, compiled once more over a shim in which a model checker (loom) decides who
//! goes next and which of the allowed values a load returns.
//!
//! | searched as shipped | stands in for |
//! | --- | --- |
//! | `guard/*`, `flight/single`, `tier/front`, `tier/l1`, `tier/tags`, `coherence/apply` | |
//! | `store` | moka: a map under a lock, or one that forgets to drop |
//! | `shim::SetOnce` | tokio's, as one step |
//! | `shim::Slot` | arc-swap's, each call one step |
//! | `remote` | L2 in memory, each step atomic, as a script is |
//! | `process` | `Tiers` in `fill/*`: the same steps in the same order, without what makes no difference here |
//!
//! Not searched: moka, tokio and parking_lot inside; more than three threads; more
//! preemptions than each search says; sequential consistency, which nothing here asks
//! for. The geometry is small: one bucket of four stripes.
//!
//! A search that cannot fail proves nothing, so each kind has lives that are wrong on
//! purpose and must be found out: another order of steps, or every atomic `Relaxed`.
//!
//! loom, and not a scheduler that draws its order by seed, because it sees all orders
//! within its bound, and knows what `Acquire` and `Release` are there for. The numbers,
//! and a search one step further (two minutes):
//!
//! ```text
//! LOOM_MAX_PREEMPTIONS=3 cargo test -p cache-core --test interleavings -- --nocapture
//! ```

#[allow(dead_code, unreachable_pub, reason = "shipped whole, searched in part")]
mod coherence;
mod explore;
#[allow(dead_code, unreachable_pub, reason = "shipped whole, searched in part")]
#[path = "../../src/flight/mod.rs"]
mod flight;
mod flights;
mod forward;
#[allow(dead_code, unreachable_pub, reason = "shipped whole, searched in part")]
#[path = "../../src/guard/mod.rs"]
mod guard;
mod orderings;
mod process;
mod puts;
mod remote;
#[allow(dead_code, reason = "whatever the shipped files may ask for")]
mod shim;
mod store;
mod tagged;
#[allow(dead_code, unreachable_pub, reason = "shipped whole, searched in part")]
mod tier;

// The rest of what they import is the crate itself.
use cache_core::{clock, event, wire};

mod model {
    pub(crate) use cache_core::model::{as_of, entry, landmark, position, tag};

    pub(crate) mod key {
        pub(crate) use cache_core::model::key::{Bucket, Key, KeyHash, KeySpace, Name};

        /// A checker keeps the whole history of each counter: a few will do.
        pub(crate) const BUCKETS: usize = 1;
        pub(crate) const STRIPES: usize = 4;
    }
}
