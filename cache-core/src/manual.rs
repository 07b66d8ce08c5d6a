//! The manual.

#[doc = include_str!("../docs/consistency.md")]
pub mod consistency {}

#[doc = include_str!("../docs/evidence.md")]
pub mod evidence {}

#[doc = include_str!("../docs/architecture.md")]
pub mod architecture {}

#[doc = include_str!("../docs/defaults.md")]
pub mod defaults {}

#[doc = include_str!("../docs/vocabulary.md")]
pub mod vocabulary {}

/// The README, whose example is compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
