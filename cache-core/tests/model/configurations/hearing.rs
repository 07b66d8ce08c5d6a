//! What goes over the bus, and what is missed.

use super::{ALONE, Configuration, PRIMARY, holds, one_change, one_reader};
use crate::bounds::{BOTH, Bounds, Faults, NO_FAULTS};
use crate::sights::Sight::{Distrusted, FenceHeld, Gap, L1Answers, L2Answers, Lapsed, Rest};

pub(super) const ALL: &[Configuration] = &[
    holds(
        "a dropped message",
        PRIMARY,
        Faults {
            drops: 1,
            beats: 1,
            ..NO_FAULTS
        },
        one_reader,
        &[L1Answers, L2Answers, Gap, FenceHeld, Rest],
    ),
    holds(
        "a dropped message, a crash, silence",
        ALONE,
        Faults {
            drops: 1,
            crashes: 1,
            spans: 1,
            beats: 2,
            ..NO_FAULTS
        },
        one_change,
        &[L1Answers, Gap, Lapsed, Rest],
    ),
    holds(
        "a cut connection, a new process",
        ALONE,
        Faults {
            cuts: 1,
            restarts: 1,
            beats: 2,
            ..NO_FAULTS
        },
        one_change,
        &[L1Answers, Gap, FenceHeld, Rest],
    ),
    holds(
        "a change that L2 takes late",
        Bounds {
            writes: BOTH,
            ..PRIMARY
        },
        Faults {
            early: 1,
            ..NO_FAULTS
        },
        one_reader,
        &[L2Answers, Distrusted, FenceHeld, Rest],
    ),
];
