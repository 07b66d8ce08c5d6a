//! Rules about writers that announce for themselves.

use super::{Ablation, PRIMARY, REPLICA, without};
use crate::bounds::{AMONG_OTHERS, Bounds, Faults, LOCAL, NO_FAULTS, THROUGH};
use crate::state::Invariant::{AsOf, C, I1, I4};

const WRITING: Bounds = Bounds {
    writes: THROUGH,
    ..PRIMARY
};

pub(super) const ABLATIONS: &[Ablation] = &[
    // I1 alone is claimed here: what a caller is answered, uncached, from a replica
    // that has not seen a local change is its loader's choice.
    without(
        "a local invalidation is compared with a replica's position",
        |rules| rules.tick_refuses_replica = false,
        Bounds {
            writes: LOCAL,
            ..REPLICA
        },
        I1,
    ),
    without(
        "a writer stores without its quarantine",
        |rules| rules.store_needs_token = false,
        WRITING,
        C,
    ),
    without(
        "a written value claims what was applied after its quarantine began",
        |rules| rules.store_is_as_old_as_quarantine = false,
        Bounds {
            writes: AMONG_OTHERS,
            ..PRIMARY
        },
        AsOf,
    ),
    without(
        "a quarantine comes late, and the writer believes in it",
        |rules| rules.quarantine_precedes_commit = false,
        Bounds {
            writes: AMONG_OTHERS,
            ..PRIMARY
        },
        AsOf,
    ),
    without(
        "a writer that lost its quarantine does nothing",
        |rules| rules.lost_token_invalidates = false,
        WRITING.with(Faults {
            expiries: 1,
            ..NO_FAULTS
        }),
        C,
    ),
    without(
        "an invalidation leaves another writer's quarantine",
        |rules| rules.invalidation_ends_quarantine = false,
        WRITING,
        C,
    ),
    without(
        "a quarantine that a failover brought back",
        |rules| rules.store_needs_whole_bucket = false,
        WRITING.with(Faults {
            failovers: 1,
            ..NO_FAULTS
        }),
        I4,
    ),
];
