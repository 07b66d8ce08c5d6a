//! Writers that announce for themselves.

use super::{Configuration, FAILOVER, LOSES, PRIMARY, holds, one_reader};
use crate::bounds::{AMONG_OTHERS, Bounds, Faults, LOCAL, Loader, NO_FAULTS, THROUGH};
use crate::sights::Sight::{
    Distrusted, L2Answers, LostWrites, QuarantineLost, Raised, Rest, WroteThrough,
};

pub(super) const ALL: &[Configuration] = &[
    holds(
        "local changes, a failover",
        Bounds {
            writes: LOCAL,
            readers: 2,
            loader: Loader::Primary,
            ..LOSES
        },
        FAILOVER,
        one_reader,
        &[LostWrites, Raised, Distrusted, Rest],
    ),
    holds(
        "two writers through the cache",
        Bounds {
            writes: THROUGH,
            ..PRIMARY
        },
        Faults {
            expiries: 1,
            evictions: 1,
            ..NO_FAULTS
        },
        one_reader,
        &[WroteThrough, QuarantineLost, L2Answers, Rest],
    ),
    holds(
        "a writer through the cache among others",
        Bounds {
            writes: AMONG_OTHERS,
            ..PRIMARY
        },
        Faults {
            expiries: 1,
            ..NO_FAULTS
        },
        one_reader,
        &[WroteThrough, QuarantineLost, L2Answers, Rest],
    ),
    holds(
        "two writers through the cache, a failover",
        Bounds {
            writes: THROUGH,
            loader: Loader::Primary,
            ..LOSES
        },
        Faults {
            expiries: 1,
            ..FAILOVER
        },
        one_reader,
        &[WroteThrough, QuarantineLost, LostWrites, Raised, Rest],
    ),
];
