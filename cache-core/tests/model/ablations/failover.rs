//! Rules about what an L2 that lost writes may still serve.

use super::{Ablation, PRIMARY, without};
use crate::bounds::{BOTH, Bounds, Faults, NO_FAULTS, SWAPPED};
use crate::state::Invariant::{C, I3, I4};

const FAILOVER: Faults = Faults {
    failovers: 1,
    ..NO_FAULTS
};

/// A change of another key of the same bucket follows, in order.
const IN_ORDER: Bounds = Bounds {
    writes: BOTH,
    reorders: false,
    ..PRIMARY
};

/// Nobody reads; what was read before is in L2.
const UNREAD: Bounds = Bounds {
    readers: 0,
    warm: true,
    ..PRIMARY
};

pub(super) const ABLATIONS: &[Ablation] = &[
    without(
        "failover without raising the floor",
        |rules| rules.beat_raises_floor = false,
        PRIMARY.with(Faults {
            beats: 1,
            ..FAILOVER
        }),
        C,
    ),
    without(
        "a raised floor that no L1 hears of",
        |rules| rules.raise_is_told = false,
        Bounds {
            writes: SWAPPED,
            apart: true,
            warm: true,
            ..PRIMARY
        }
        .with(Faults {
            beats: 2,
            restarts: 1,
            ..FAILOVER
        }),
        C,
    ),
    without(
        "failover without the fence: `applied`",
        |rules| rules.horizon_applied = false,
        PRIMARY.with(FAILOVER),
        I4,
    ),
    without(
        "failover without the fence: `seen`",
        |rules| rules.horizon_seen = false,
        PRIMARY.with(Faults {
            beats: 1,
            restarts: 1,
            ..FAILOVER
        }),
        I3,
    ),
    without(
        "the next change of a bucket hides what a failover lost",
        |rules| rules.apply_tells_known = false,
        IN_ORDER.with(FAILOVER),
        I4,
    ),
    without(
        "a change applied out of order, and lost in a failover",
        |rules| rules.applies_in_order = false,
        IN_ORDER.with(FAILOVER),
        I4,
    ),
    without(
        "a lost heartbeat counts for nothing",
        |rules| rules.beat_tells_told = false,
        PRIMARY.with(Faults {
            beats: 1,
            restarts: 1,
            ..FAILOVER
        }),
        I3,
    ),
    without(
        "a restarted invalidator goes on behind its last answer",
        |rules| rules.restart_replays = false,
        UNREAD.with(Faults {
            beats: 1,
            crashes: 1,
            ..FAILOVER
        }),
        C,
    ),
    without(
        "a heartbeat tells the highest change, not the contiguous ones",
        |rules| rules.seen_is_contiguous = false,
        Bounds {
            writes: BOTH,
            apart: true,
            ..UNREAD
        }
        .with(Faults {
            beats: 2,
            crashes: 1,
            ..FAILOVER
        }),
        C,
    ),
    without(
        "a raised epoch refuses nothing",
        |rules| rules.epoch_raises_floor = false,
        Bounds {
            warm: true,
            ..PRIMARY
        }
        .with(Faults {
            streams: 1,
            beats: 1,
            ..NO_FAULTS
        }),
        I3,
    ),
];
