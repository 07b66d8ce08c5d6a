//! The door for changes that come in, as shipped.

#[path = "../../src/coherence/apply.rs"]
pub(crate) mod apply;
