//! Rules about what goes over the bus, in which order, and what is missed.

use super::{Ablation, PRIMARY, without};
use crate::bounds::{BOTH, Bounds, Faults, NO_FAULTS, TWO};
use crate::state::Invariant::{B, C, I4};

pub(super) const ABLATIONS: &[Ablation] = &[
    without(
        "no gap detection: a hole in the numbers",
        |rules| rules.gap_drops_l1 = false,
        Bounds {
            writes: TWO,
            ..PRIMARY
        }
        .with(Faults {
            drops: 1,
            beats: 1,
            ..NO_FAULTS
        }),
        C,
    ),
    without(
        "no gap detection: the last message",
        |rules| rules.beat_tells_last = false,
        PRIMARY.with(Faults {
            drops: 1,
            beats: 1,
            ..NO_FAULTS
        }),
        C,
    ),
    without(
        "no gap detection: a stranger",
        |rules| rules.stranger_is_gap = false,
        PRIMARY.with(Faults {
            cuts: 1,
            beats: 1,
            ..NO_FAULTS
        }),
        C,
    ),
    without(
        "no gap detection: a publisher that fell silent",
        |rules| rules.silence_is_gap = false,
        PRIMARY.with(Faults {
            drops: 1,
            crashes: 1,
            spans: 1,
            beats: 2,
            ..NO_FAULTS
        }),
        B,
    ),
    without(
        "trust never lapses",
        |rules| rules.trust_lapses = false,
        PRIMARY.with(Faults {
            spans: 2,
            beats: 1,
            ..NO_FAULTS
        }),
        B,
    ),
    without(
        "fan-out before L2",
        |rules| rules.l2_first = false,
        Bounds {
            writes: BOTH,
            ..PRIMARY
        },
        I4,
    ),
    without(
        "ack before fan-out, and a crash that nobody notices",
        |rules| {
            rules.ack_last = false;
            rules.restart_replays = false;
            rules.silence_is_gap = false;
        },
        PRIMARY.with(Faults {
            crashes: 1,
            beats: 1,
            spans: 1,
            ..NO_FAULTS
        }),
        C,
    ),
];
