//! Tags, and clearing a cache.

use super::{Configuration, FAILOVER, TAGGED, holds, one_beat, one_reader};
use crate::bounds::{Bounds, Faults, Loader, NO_FAULTS, TAG};
use crate::sights::Sight::{
    Distrusted, Gap, Joined, L1Answers, L2Answers, LostWrites, Raised, Rerouted, Rest, TagRefused,
};

pub(super) const ALL: &[Configuration] = &[
    holds(
        "a tag, loads from a replica",
        Bounds {
            readers: 2,
            ..TAGGED
        },
        NO_FAULTS,
        one_reader,
        &[TagRefused, L1Answers, L2Answers, Rerouted, Rest],
    ),
    holds(
        "a tag, evictions, a redelivery",
        TAGGED,
        Faults {
            evictions: 2,
            redeliveries: 1,
            ..NO_FAULTS
        },
        |bounds| bounds.writes = TAG,
        &[TagRefused, L1Answers, L2Answers, Rest],
    ),
    holds(
        "a tag, a dropped message, a new process",
        TAGGED,
        Faults {
            drops: 1,
            restarts: 1,
            beats: 2,
            ..NO_FAULTS
        },
        |bounds| {
            bounds.writes = TAG;
            bounds.faults.beats = 1;
        },
        &[TagRefused, Gap, Rest],
    ),
    holds(
        "a tag, a failover, a new process",
        Bounds {
            writes: TAG,
            warm: true,
            reorders: false,
            ..TAGGED
        },
        Faults {
            restarts: 1,
            beats: 2,
            ..FAILOVER
        },
        one_beat,
        &[TagRefused, LostWrites, Raised, Distrusted, Rest],
    ),
    holds(
        "a clear of two keys, an eviction",
        Bounds {
            keys: 2,
            readers: 2,
            writes: TAG,
            loader: Loader::Primary,
            ..TAGGED
        },
        Faults {
            evictions: 1,
            ..NO_FAULTS
        },
        one_reader,
        &[TagRefused, L1Answers, L2Answers, Joined, Rest],
    ),
];
