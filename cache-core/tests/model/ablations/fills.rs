//! Rules about what L2 and L1 store.

use super::{Ablation, PRIMARY, REPLICA, without};
use crate::bounds::{Bounds, Faults, NO_FAULTS, TWO};
use crate::state::Invariant::{AsOf, C, I1, I2, I4, I5};

const EVICTION: Faults = Faults {
    evictions: 1,
    ..NO_FAULTS
};

pub(super) const ABLATIONS: &[Ablation] = &[
    without(
        "lease only, and loads from a replica",
        |rules| rules.fill_compares_floor = false,
        REPLICA,
        I1,
    ),
    without(
        "marks only, and an eviction",
        |rules| rules.fill_needs_lease = false,
        PRIMARY.with(EVICTION),
        I1,
    ),
    without(
        "a fill over an expired value has no floor",
        |rules| rules.expired_has_floor = false,
        Bounds {
            readers: 2,
            ..REPLICA
        }
        .with(Faults {
            ages: 1,
            ..NO_FAULTS
        }),
        I1,
    ),
    without(
        "an absent record has no floor",
        |rules| rules.absent_has_floor = false,
        Bounds {
            readers: 2,
            ..REPLICA
        }
        .with(EVICTION),
        I1,
    ),
    without(
        "a redelivery lowers the floor",
        |rules| rules.floor_only_rises = false,
        Bounds {
            writes: TWO,
            reorders: false,
            ..REPLICA
        }
        .with(Faults {
            redeliveries: 1,
            ..NO_FAULTS
        }),
        I1,
    ),
    without(
        "no generation check",
        |rules| rules.fence_decides = false,
        PRIMARY,
        I2,
    ),
    without(
        "L1 keeps what L2 refused",
        |rules| rules.l1_follows_l2 = false,
        REPLICA.with(Faults {
            restarts: 1,
            beats: 1,
            ..NO_FAULTS
        }),
        C,
    ),
    without(
        "no barrier",
        |rules| rules.barrier = false,
        Bounds {
            hidden_commits: true,
            ..PRIMARY
        },
        AsOf,
    ),
    without(
        "a replica answers although it is behind what was handled",
        |rules| rules.load_reaches = false,
        REPLICA,
        I4,
    ),
    without(
        "a replica answers although it is behind `at_least`",
        |rules| rules.load_reaches = false,
        Bounds {
            sessions: true,
            ..REPLICA
        },
        I5,
    ),
    without(
        "hits below `at_least`",
        |rules| rules.hit_compares_at_least = false,
        Bounds {
            sessions: true,
            ..PRIMARY
        },
        I5,
    ),
    without(
        "callers join a flight that an invalidation of its key overtook",
        |rules| rules.flight_has_ticket = false,
        PRIMARY,
        I4,
    ),
];
