//! Every rule taken out, with the configuration in which its absence shows and the
//! invariant that falls. Where another rule would hide it, that one is taken out
//! as well, and the entry says so.

mod failover;
mod fills;
mod hearing;
mod tags;
mod writers;

use crate::bounds::{BASE, Bounds, Loader, ONE};
use crate::rules::Rules;
use crate::state::Invariant;

/// One rule taken out.
pub(crate) struct Ablation {
    /// What is missing.
    pub(crate) name: &'static str,
    /// Takes it out.
    pub(crate) take_out: fn(&mut Rules),
    /// Where its absence shows.
    pub(crate) bounds: Bounds,
    /// What falls.
    pub(crate) falls: Invariant,
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Ablation> {
    let tables = [
        fills::ABLATIONS,
        hearing::ABLATIONS,
        failover::ABLATIONS,
        tags::ABLATIONS,
        writers::ABLATIONS,
    ];
    tables.into_iter().flatten()
}

const fn without(
    name: &'static str,
    take_out: fn(&mut Rules),
    bounds: Bounds,
    falls: Invariant,
) -> Ablation {
    Ablation {
        name,
        take_out,
        bounds,
        falls,
    }
}

/// One reader, one change, loads from a replica.
const REPLICA: Bounds = Bounds {
    writes: ONE,
    readers: 1,
    ..BASE
};

/// One reader, one change, loads from the primary.
const PRIMARY: Bounds = Bounds {
    loader: Loader::Primary,
    ..REPLICA
};
