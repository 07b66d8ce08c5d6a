//! An L2 that loses writes, and a stream that is lost.

use super::{
    ALONE, Configuration, FAILOVER, LOSES, PRIMARY, holds, one_change, one_failover, one_loss,
    one_reader,
};
use crate::bounds::{BOTH, Bounds, Faults, Loader, NO_FAULTS, ONE, SWAPPED};
use crate::sights::Sight::{
    Distrusted, Gap, L2Answers, Lapsed, LostWrites, Raised, Refused, Rerouted, Rest, Stored,
};

pub(super) const ALL: &[Configuration] = &[
    holds(
        "a failover, two readers",
        Bounds {
            readers: 2,
            writes: ONE,
            ..LOSES
        },
        Faults {
            evictions: 1,
            ..FAILOVER
        },
        one_reader,
        &[LostWrites, Distrusted, Raised, L2Answers, Stored, Rest],
    ),
    holds(
        "a failover, loads from a replica, an eviction",
        LOSES,
        Faults {
            evictions: 1,
            beats: 2,
            ..FAILOVER
        },
        one_loss,
        &[LostWrites, Distrusted, Raised, Rerouted, Rest],
    ),
    holds(
        "a failover, and a change of another key",
        Bounds {
            writes: BOTH,
            ..LOSES
        },
        Faults {
            beats: 2,
            restarts: 1,
            ..FAILOVER
        },
        one_loss,
        &[LostWrites, Distrusted, Raised, Gap, Rest],
    ),
    holds(
        "a failover and a crash",
        Bounds {
            writes: ONE,
            loader: Loader::Primary,
            ..LOSES
        },
        Faults {
            crashes: 1,
            spans: 1,
            beats: 2,
            ..FAILOVER
        },
        one_loss,
        &[LostWrites, Distrusted, Raised, Lapsed, Rest],
    ),
    holds(
        "a failover and a crash, changes of two keys",
        Bounds {
            writes: BOTH,
            keys: 2,
            readers: 0,
            ..LOSES
        },
        Faults {
            crashes: 1,
            beats: 3,
            redeliveries: 1,
            failovers: 2,
            ..NO_FAULTS
        },
        one_failover,
        &[LostWrites, Raised, Rest],
    ),
    holds(
        "a failover of one of two buckets, a crash",
        Bounds {
            writes: SWAPPED,
            apart: true,
            keys: 2,
            readers: 0,
            ..LOSES
        },
        Faults {
            crashes: 1,
            beats: 3,
            redeliveries: 1,
            failovers: 2,
            ..NO_FAULTS
        },
        one_failover,
        &[LostWrites, Raised, Rest],
    ),
    holds(
        "a failover, and a change that L2 takes late",
        Bounds {
            writes: BOTH,
            ..LOSES
        },
        Faults {
            early: 1,
            ..FAILOVER
        },
        one_change,
        &[LostWrites, Distrusted, Raised, Rest],
    ),
    holds(
        "a lost bucket",
        Bounds {
            warm: true,
            ..ALONE
        },
        Faults {
            wipes: 1,
            beats: 2,
            ..NO_FAULTS
        },
        one_loss,
        &[Distrusted, Raised, Stored, Rest],
    ),
    holds(
        "a new stream and epoch",
        PRIMARY,
        Faults {
            streams: 1,
            beats: 1,
            ..NO_FAULTS
        },
        one_change,
        &[Raised, Stored, Refused, Rest],
    ),
];
