//! A circuit breaker before the source (Nygard, "Release It!"): after so many failures in
//! a row nothing is asked for a while, and then one load tries.
//!
//! In a row, and not a share of all: a healthy source answers some keys in between,
//! whatever is wrong with others, and a share needs a window that is too long at night and
//! too short at noon.

use crate::clock::Tick;
use parking_lot::Mutex;
use std::time::Duration;

/// Whether the source is asked.
#[derive(Debug)]
pub struct Breaker {
    /// The failures in a row that open it; 0 for never.
    failures_max: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed {
        failures: u32,
    },
    /// Until then nothing is asked; from then on, one load tries. If nobody hears what
    /// became of it, another tries a pause later.
    Open {
        until: Tick,
    },
}

/// Whether a load may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Begin,
    /// Not before then.
    Refused(Duration),
}

/// That the source is asked no more, or again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// It is left alone from here on.
    Opened,
    /// It is asked as ever.
    Closed,
}

impl Breaker {
    /// A closed one.
    pub fn new(failures_max: u32, pause: Duration) -> Self {
        Self {
            failures_max,
            pause,
            state: Mutex::new(State::Closed { failures: 0 }),
        }
    }

    /// Asks whether a load may begin.
    pub fn admit(&self, now: Tick) -> Admission {
        let mut state = self.state.lock();
        match *state {
            State::Closed { .. } => Admission::Begin,
            State::Open { until } if until <= now => {
                let until = now.after(self.pause);
                *state = State::Open { until };
                Admission::Begin
            }
            State::Open { until } => Admission::Refused(until.since(now)),
        }
    }

    /// A load was answered.
    pub fn succeeded(&self) -> Option<Turned> {
        let before = std::mem::replace(&mut *self.state.lock(), State::Closed { failures: 0 });
        matches!(before, State::Open { .. }).then_some(Turned::Closed)
    }

    /// A load failed, or took too long.
    pub fn failed(&self, now: Tick) -> Option<Turned> {
        let mut state = self.state.lock();
        let until = now.after(self.pause);
        match *state {
            State::Closed { failures } => {
                let failures = failures.saturating_add(1);
                let opens = failures == self.failures_max;
                *state = match opens {
                    true => State::Open { until },
                    false => State::Closed { failures },
                };
                opens.then_some(Turned::Opened)
            }
            // One that began before it opened, or the one that tried.
            State::Open { until: before } => {
                *state = State::Open {
                    until: until.max(before),
                };
                None
            }
        }
    }
}
