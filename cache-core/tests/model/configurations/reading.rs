//! Reads and fills, with what befalls records and events.

use super::{ALONE, Configuration, PRIMARY, holds, one_change, one_reader};
use crate::bounds::{BASE, BOTH, Bounds, Faults, NO_FAULTS};
use crate::sights::Sight::{
    Aged, FenceHeld, Joined, L1Answers, L2Answers, Refused, Rerouted, Rest, Stored, TooOld,
};

pub(super) const ALL: &[Configuration] = &[
    holds(
        "two readers, an eviction",
        BASE,
        Faults {
            evictions: 1,
            ..NO_FAULTS
        },
        one_reader,
        &[
            L1Answers, L2Answers, Stored, Refused, FenceHeld, Rerouted, Joined, Rest,
        ],
    ),
    holds(
        "two readers, a redelivery",
        BASE,
        Faults {
            redeliveries: 1,
            ..NO_FAULTS
        },
        one_reader,
        &[L2Answers, Stored, Refused, FenceHeld, Rest],
    ),
    holds(
        "evictions, a redelivery, a lost lease",
        ALONE,
        Faults {
            evictions: 2,
            redeliveries: 1,
            expiries: 1,
            ..NO_FAULTS
        },
        one_change,
        &[L1Answers, L2Answers, Stored, Refused, FenceHeld, Rest],
    ),
    holds(
        "two flights of one process",
        Bounds {
            flights: 2,
            ..ALONE
        },
        Faults {
            evictions: 1,
            redeliveries: 1,
            ..NO_FAULTS
        },
        one_change,
        &[Stored, Refused, FenceHeld, Joined, Rest],
    ),
    holds(
        "commits that cannot be read yet",
        Bounds {
            hidden_commits: true,
            ..PRIMARY
        },
        Faults {
            redeliveries: 1,
            ..NO_FAULTS
        },
        one_reader,
        &[L2Answers, Stored, Refused, Rest],
    ),
    holds(
        "values that expire",
        BASE,
        Faults {
            ages: 2,
            ..NO_FAULTS
        },
        one_reader,
        &[Aged, L1Answers, L2Answers, Stored, Refused, FenceHeld, Rest],
    ),
    holds(
        "values that expire, lost leases, a redelivery",
        ALONE,
        Faults {
            ages: 2,
            expiries: 1,
            redeliveries: 1,
            ..NO_FAULTS
        },
        one_change,
        &[Aged, L1Answers, L2Answers, Stored, Refused, Rest],
    ),
    holds(
        "session tokens",
        Bounds {
            sessions: true,
            ..BASE
        },
        NO_FAULTS,
        one_reader,
        &[L1Answers, L2Answers, TooOld, Rerouted, Rest],
    ),
    holds(
        "two keys of one bucket",
        Bounds {
            writes: BOTH,
            keys: 2,
            ..PRIMARY
        },
        NO_FAULTS,
        one_reader,
        &[L1Answers, L2Answers, Stored, Refused, FenceHeld, Rest],
    ),
];
