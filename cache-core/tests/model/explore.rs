//! One exploration, and what came of it.

use crate::bounds::Bounds;
use crate::invariants;
use crate::rules::Rules;
use crate::sights::Sight;
use crate::state::{Invariant, State};
use crate::story;
use crate::system::{Action, System};
use cache_core::clock::{Clock, SystemClock};
use stateright::{Checker, HasDiscoveries, Model, Path};
use std::fmt;
use std::time::Duration;

/// What came of an exploration.
#[derive(Debug)]
pub(crate) struct Explored {
    /// Different states.
    pub(crate) states: usize,
    /// The longest of the shortest ways to a state.
    pub(crate) depth: usize,
    /// How long it took.
    pub(crate) took: Duration,
    /// What fell.
    pub(crate) fallen: Option<Fallen>,
    /// Sights that were expected and not seen.
    pub(crate) unseen: Vec<Sight>,
}

/// A counterexample.
#[derive(Debug)]
pub(crate) struct Fallen {
    /// The invariant that fell.
    pub(crate) name: &'static str,
    /// How many steps it took.
    pub(crate) steps: usize,
    /// What happened.
    pub(crate) story: String,
}

impl fmt::Display for Fallen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} falls in {} steps\n{}",
            self.name, self.steps, self.story
        )
    }
}

/// Explores everything, or until an invariant falls.
pub(crate) fn explore(
    bounds: Bounds,
    rules: Rules,
    threads: usize,
    expected: &[Sight],
) -> Explored {
    let clock = SystemClock::new();
    let began = clock.now();
    let checker = System::new(bounds, rules)
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let took = clock.now().since(began);
    let fallen = checker.discoveries().into_iter().next();
    let unseen = |sight: &Sight| !checker.model().sights.seen(*sight);
    Explored {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        took,
        fallen: fallen.map(|(name, path)| told(checker.model(), name, path.into_vec())),
        unseen: expected.iter().copied().filter(unseen).collect(),
    }
}

/// Whether an invariant falls at all.
pub(crate) fn falls(bounds: Bounds, rules: Rules, invariant: Invariant) -> bool {
    let name = invariants::name(invariant);
    let checker = System::new(bounds, rules)
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AnyOf([name].into()))
        .spawn_bfs()
        .join();
    checker.discoveries().contains_key(name)
}

/// Looks for a shortest way to break one invariant.
pub(crate) fn shortest(bounds: Bounds, rules: Rules, falls: Invariant) -> Option<Fallen> {
    let name = invariants::name(falls);
    let mut found: Option<Vec<(State, Option<Action>)>> = None;
    loop {
        let checker = System::new(bounds, rules)
            .checker()
            .finish_when(HasDiscoveries::AnyOf([name].into()));
        // A search looks a block of states further than its first find, and keeps
        // the last: so it is repeated below the depth of what it found.
        let checker = match &found {
            Some(path) => checker.target_max_depth(path.len()),
            None => checker,
        };
        let checker = checker.spawn_bfs().join();
        let path = checker.discoveries().remove(name).map(Path::into_vec);
        match path {
            Some(path) => found = Some(path),
            None => return found.map(|path| told(checker.model(), name, path)),
        }
    }
}

fn told(system: &System, name: &'static str, path: Vec<(State, Option<Action>)>) -> Fallen {
    Fallen {
        name,
        steps: path.len() - 1,
        story: story::tell(system, &path),
    }
}
