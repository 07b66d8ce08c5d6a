//! What the page looks at.

use crate::callers::Callers;
use crate::calls::Agent;
use crate::stats::Stats;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

/// What the page looks at.
#[derive(Clone)]
pub struct Looked {
    /// One look at the counts.
    pub look: Arc<dyn Fn() -> Stats + Send + Sync>,
    /// The series.
    pub registry: Arc<Registry>,
    /// The caches, and the keys asked for most.
    pub agent: Agent,
    /// Who may call, if anybody is asked: a browser has no token, so keys are not for it then.
    pub callers: Callers,
}

impl fmt::Debug for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Looked").finish_non_exhaustive()
    }
}
