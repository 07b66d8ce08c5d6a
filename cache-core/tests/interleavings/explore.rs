//! Runs one short life in every way that its threads can interleave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than any of them takes; a search that meets it has not seen everything.
const EXECUTIONS_MAX: usize = 2_000_000;

/// What a search came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Explored {
    /// Different executions.
    pub(crate) executions: usize,
    /// Those in which something was served that must not be.
    pub(crate) broken: usize,
}

/// What one execution came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Held,
    Broken,
}

impl Life {
    pub(crate) fn broken_if(broken: bool) -> Self {
        if broken { Self::Broken } else { Self::Held }
    }
}

/// Searches all executions of `life` in which a thread is made to wait, while it could
/// go on, at most `preemptions` times; `LOOM_MAX_PREEMPTIONS` searches further.
///
/// # Panics
/// If threads wait for each other for ever, as loom says it, or if there are too many
/// executions to see them all.
pub(crate) fn explore(
    name: &str,
    preemptions: usize,
    life: impl Fn() -> Life + Send + Sync + 'static,
) -> Explored {
    let executions = Arc::new(AtomicUsize::new(0));
    let broken = Arc::new(AtomicUsize::new(0));
    let mut search = loom::model::Builder::new();
    search.preemption_bound = search.preemption_bound.or(Some(preemptions));
    search.max_permutations = Some(EXECUTIONS_MAX);
    search.max_branches = 10_000;
    let counts = (executions.clone(), broken.clone());
    search.check(move || {
        counts.0.fetch_add(1, Ordering::Relaxed);
        if life() == Life::Broken {
            counts.1.fetch_add(1, Ordering::Relaxed);
        }
    });
    let explored = Explored {
        executions: executions.load(Ordering::Relaxed),
        broken: broken.load(Ordering::Relaxed),
    };
    println!(
        "{name}: {} executions, {} broken",
        explored.executions, explored.broken
    );
    assert!(explored.executions < EXECUTIONS_MAX, "{name}: not all seen");
    explored
}

impl Explored {
    /// Every execution held, and there were enough to speak of a search.
    pub(crate) fn must_hold(self) {
        assert!(
            self.executions > 1,
            "hardly anything was searched: {self:?}"
        );
        assert_eq!(self.broken, 0, "{self:?}");
    }

    /// The search finds what is wrong on purpose.
    pub(crate) fn must_be_found_out(self) {
        assert!(self.broken > 0, "what is wrong was not found: {self:?}");
    }
}
