//! A circuit breaker before the source (Nygard, "Release It!"): after the loads of so many
//! different keys have failed, and none was answered in between, nothing is asked for a
//! while, and then one load tries.
//!
//! Different keys, because one that always fails, and is asked for more often than all
//! that do not, is no reason to leave the source alone. In a row, and not a share of all:
//! a share needs a window that is too long at night and too short at noon.

use crate::clock::Tick;
use crate::model::key::KeyHash;
use parking_lot::Mutex;
use std::time::Duration;

/// Whether the source is asked.
#[derive(Debug)]
pub struct Breaker {
    /// The different keys whose failures open it; 0 for never.
    keys_max: usize,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// The keys that have failed since the last answer.
    Closed(Vec<KeyHash>),
    Open(Open),
}

#[derive(Clone, Copy, Debug)]
struct Open {
    since: Tick,
    /// Until then nothing is asked; from then on, one load tries. If nobody hears what
    /// became of it, another tries a pause later.
    until: Tick,
    /// Whose load tried last: another key comes first, for a pause.
    tried: Option<KeyHash>,
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
    pub fn new(keys_max: usize, pause: Duration) -> Self {
        Self {
            keys_max,
            pause,
            state: Mutex::new(State::Closed(Vec::new())),
        }
    }

    /// Asks whether a load of a key may begin.
    pub fn admit(&self, key: KeyHash, now: Tick) -> Admission {
        let mut state = self.state.lock();
        let State::Open(open) = &mut *state else {
            return Admission::Begin;
        };
        let from = match open.tried == Some(key) {
            true => open.until.after(self.pause),
            false => open.until,
        };
        if now < from {
            return Admission::Refused(from.since(now));
        }
        (open.until, open.tried) = (now.after(self.pause), Some(key));
        Admission::Begin
    }

    /// Whether every load is refused at the moment; asking is no try.
    pub fn is_shut(&self, now: Tick) -> bool {
        matches!(&*self.state.lock(), State::Open(open) if now < open.until)
    }

    /// A load was answered.
    pub fn succeeded(&self) -> Option<Turned> {
        let mut state = self.state.lock();
        match &mut *state {
            State::Closed(failing) => {
                failing.clear();
                None
            }
            State::Open(_) => {
                *state = State::Closed(Vec::new());
                Some(Turned::Closed)
            }
        }
    }

    /// The load of a key that `began` then has failed, or took too long.
    pub fn failed(&self, key: KeyHash, began: Tick, now: Tick) -> Option<Turned> {
        let mut state = self.state.lock();
        let until = now.after(self.pause);
        match &mut *state {
            State::Closed(failing) => {
                if self.keys_max > 0 && !failing.contains(&key) {
                    failing.push(key);
                }
                if failing.len() < self.keys_max.max(1) {
                    return None;
                }
                *state = State::Open(Open {
                    since: now,
                    until,
                    tried: None,
                });
                Some(Turned::Opened)
            }
            // What began before says nothing new, and what tried has failed.
            State::Open(open) => {
                if began >= open.since {
                    open.until = until.max(open.until);
                }
                None
            }
        }
    }
}
