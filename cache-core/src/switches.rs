//! What an operator may set of one cache while it runs, in this process only.
//!
//! No order of switching brings an old value back. A tier that is off goes on hearing of
//! changes: the fence counts, and invalidations go to L2 and over the bus. So what it holds
//! when it is on again is what it might have served all the while.

use crate::error::{Error, Kind};
use crate::policy::Policy;
use crate::random::{MILLION, Sample};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bits of the word that reads look at.
const L1_OFF: u64 = 1;
const L2_OFF: u64 = 1 << 1;
/// That nothing overrides the policy.
const NONE: u64 = u64::MAX;

/// What may be set of one cache in this process without a restart. It is forgotten when the
/// process ends, and each change is logged.
#[derive(Debug)]
pub struct Switches {
    cache: String,
    ttl_most: Duration,
    shadow_usual: u32,
    off: AtomicU64,
    /// In milliseconds, or [`NONE`].
    ttl_cap: AtomicU64,
    shadow: AtomicU64,
    sample: Arc<Sample>,
}

impl Switches {
    /// As the policy has it.
    pub(crate) fn new(policy: &Policy, sample: Arc<Sample>) -> Self {
        Self {
            cache: policy.name.as_str().to_owned(),
            ttl_most: policy.lifetime.ttl,
            shadow_usual: policy.shadow_per_million,
            off: AtomicU64::new(0),
            ttl_cap: AtomicU64::new(NONE),
            shadow: AtomicU64::new(NONE),
            sample,
        }
    }

    /// Whether L1 answers.
    pub fn l1(&self) -> bool {
        self.off.load(Ordering::Relaxed) & L1_OFF == 0
    }

    /// Switches L1 on or off. Off, it answers nothing, nor does it when the source is slow or
    /// fails, and it keeps nothing new. What it holds stays until it expires, is invalidated,
    /// or gives way.
    pub fn set_l1(&self, on: bool) {
        self.set("l1", L1_OFF, on);
    }

    /// Whether L2 is asked for values.
    pub fn l2(&self) -> bool {
        self.off.load(Ordering::Relaxed) & L2_OFF == 0
    }

    /// Switches L2 on or off. Off, what L1 does not have is loaded from the source, within the
    /// policy's limits on loads, and kept in no tier; writes through the cache only invalidate.
    /// Invalidations and quarantines go to L2 all the same, since other processes use it. A
    /// load that had its lease before ends as it began.
    pub fn set_l2(&self, on: bool) {
        self.set("l2", L2_OFF, on);
    }

    /// The longest lifetime of a value or an absence, where it is not left to the policy.
    pub fn ttl_cap(&self) -> Option<Duration> {
        match self.ttl_cap.load(Ordering::Relaxed) {
            NONE => None,
            millis => Some(Duration::from_millis(millis)),
        }
    }

    /// Bounds the lifetime of what is stored from here on, and of what is read from L2; `None`
    /// leaves it to the policy. What L1 holds keeps the lifetime that it has.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for less than 1 ms, or for more than the policy's `ttl`, which is what
    /// was promised.
    pub fn set_ttl_cap(&self, cap: Option<Duration>) -> Result<(), Error> {
        let least = Duration::from_millis(1);
        if cap.is_some_and(|cap| cap < least || cap > self.ttl_most) {
            let most = self.ttl_most;
            let hint = format!("a cap is between 1 ms and the policy's {most:?}");
            return Err(self.invalid("ttl_cap").hint(hint));
        }
        let millis = cap.map_or(NONE, |cap| cap.as_millis() as u64);
        let old = self.ttl_cap.swap(millis, Ordering::Relaxed);
        self.log("ttl_cap", &shown(old, " ms"), &shown(millis, " ms"));
        Ok(())
    }

    /// Of a million hits of calls that bring a loader, how many are compared with the source.
    pub fn shadow_per_million(&self) -> u32 {
        match self.shadow.load(Ordering::Relaxed) {
            NONE => self.shadow_usual,
            share => share as u32,
        }
    }

    /// Sets that share; `None` leaves it to the policy.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for more than a million.
    pub fn set_shadow_per_million(&self, share: Option<u32>) -> Result<(), Error> {
        if share.is_some_and(|share| share > MILLION) {
            let error = self.invalid("shadow_per_million");
            return Err(error.hint("of a million hits, at most a million are compared"));
        }
        let new = share.map_or(NONE, u64::from);
        let old = self.shadow.swap(new, Ordering::Relaxed);
        self.sample.set(share.unwrap_or(self.shadow_usual));
        self.log("shadow_per_million", &shown(old, ""), &shown(new, ""));
        Ok(())
    }

    /// A lifetime within the cap.
    pub(crate) fn within_cap(&self, ttl: Duration) -> Duration {
        self.ttl_cap().map_or(ttl, |cap| ttl.min(cap))
    }

    fn set(&self, switch: &'static str, bit: u64, on: bool) {
        let old = match on {
            true => self.off.fetch_and(!bit, Ordering::Relaxed),
            false => self.off.fetch_or(bit, Ordering::Relaxed),
        };
        let word = |on| if on { "on" } else { "off" };
        self.log(switch, word(old & bit == 0), word(on));
    }

    fn log(&self, switch: &'static str, old: &str, new: &str) {
        if old != new {
            let cache = &self.cache;
            tracing::info!(cache, switch, old, new, "a switch was set");
        }
    }

    fn invalid(&self, switch: &str) -> Error {
        let subject = format!("{switch} of {}", self.cache);
        Error::new(Kind::Invalid, "setting a switch", subject)
    }
}

fn shown(value: u64, unit: impl fmt::Display) -> String {
    match value {
        NONE => "as the policy".to_owned(),
        value => format!("{value}{unit}"),
    }
}
