//! Rules about tags, and so about clearing a cache, which is a tag of every key.

use super::{Ablation, PRIMARY, without};
use crate::bounds::{Bounds, Faults, Loader, NO_FAULTS, TAG};
use crate::state::Invariant::{C, I2, I4};

/// One change that is announced by the tag alone.
const TAGGED: Bounds = Bounds {
    writes: TAG,
    tagged: true,
    apart: true,
    ..PRIMARY
};

pub(super) const ABLATIONS: &[Ablation] = &[
    without(
        "callers join a flight that an invalidation of its tag overtook",
        |rules| rules.flight_counts_tags = false,
        TAGGED,
        I4,
    ),
    without(
        "a tag's stamp taken after the load",
        |rules| rules.stamp_is_old = false,
        TAGGED,
        C,
    ),
    without(
        "a tag's stamp above a replica's position",
        |rules| rules.stamp_within_as_of = false,
        Bounds {
            loader: Loader::Replica,
            ..TAGGED
        }
        .with(Faults {
            restarts: 1,
            beats: 1,
            ..NO_FAULTS
        }),
        C,
    ),
    without(
        "L1 does not check its tags again",
        |rules| rules.tags_recheck_l1 = false,
        TAGGED,
        I2,
    ),
    without(
        "L2's values are served whatever their tags",
        |rules| rules.tags_checked_in_l2 = false,
        TAGGED,
        I4,
    ),
    without(
        "an unknown tag has no floor",
        |rules| rules.absent_tag_has_floor = false,
        TAGGED.with(Faults {
            evictions: 1,
            ..NO_FAULTS
        }),
        I4,
    ),
];
