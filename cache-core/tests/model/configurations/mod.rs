//! The configurations in which the protocol must hold, and what each must have
//! seen.

mod hearing;
mod losing;
mod reading;
mod tags;
mod writing;

use crate::bounds::{BASE, Bounds, Faults, KEY_AND_TAG, Loader, NO_FAULTS, ONE};
use crate::sights::Sight;

/// One configuration.
pub(crate) struct Configuration {
    full: Bounds,
    /// What a debug build changes to finish soon.
    small: fn(&mut Bounds),
    /// What must have happened.
    pub(crate) sights: &'static [Sight],
}

impl Configuration {
    /// The bounds for this build.
    pub(crate) fn bounds(&self) -> Bounds {
        let mut bounds = self.full;
        if cfg!(debug_assertions) {
            (self.small)(&mut bounds);
        }
        bounds
    }
}

const PRIMARY: Bounds = Bounds {
    loader: Loader::Primary,
    ..BASE
};
const ALONE: Bounds = Bounds { readers: 1, ..BASE };
/// Something to lose in a failover, which changes of one bucket reach in order.
const LOSES: Bounds = Bounds {
    warm: true,
    reorders: false,
    ..ALONE
};
const TAGGED: Bounds = Bounds {
    writes: KEY_AND_TAG,
    tagged: true,
    apart: true,
    ..ALONE
};
const FAILOVER: Faults = Faults {
    failovers: 1,
    beats: 1,
    ..NO_FAULTS
};

fn one_reader(bounds: &mut Bounds) {
    bounds.readers = 1;
}

fn one_change(bounds: &mut Bounds) {
    bounds.readers = 1;
    bounds.writes = ONE;
}

fn one_beat(bounds: &mut Bounds) {
    bounds.readers = 1;
    bounds.faults.beats = 1;
}

fn one_loss(bounds: &mut Bounds) {
    bounds.writes = ONE;
    bounds.faults.beats = 1;
}

fn one_failover(bounds: &mut Bounds) {
    bounds.faults.failovers = 1;
    bounds.faults.beats = 2;
}

const fn holds(
    name: &'static str,
    bounds: Bounds,
    faults: Faults,
    small: fn(&mut Bounds),
    sights: &'static [Sight],
) -> Configuration {
    Configuration {
        full: Bounds {
            name,
            faults,
            ..bounds
        },
        small,
        sights,
    }
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Configuration> {
    let tables = [
        reading::ALL,
        hearing::ALL,
        losing::ALL,
        tags::ALL,
        writing::ALL,
    ];
    tables.into_iter().flatten()
}
