//! The manual. Begin with [`concepts`] and [`steps`].

#[doc = include_str!("../docs/concepts.md")]
pub mod concepts {}

#[doc = include_str!("../docs/steps.md")]
pub mod steps {}

#[doc = include_str!("../docs/consistency.md")]
pub mod consistency {}

#[doc = include_str!("../docs/features.md")]
pub mod features {}

#[doc = include_str!("../docs/evidence.md")]
pub mod evidence {}

/// The strategies: the pain that each solves, when not to use it, and what is lost when
/// something fails.
pub mod strategies {
    #[doc = include_str!("../docs/strategies/cache_aside.md")]
    pub mod cache_aside {}

    #[doc = include_str!("../docs/strategies/read_through.md")]
    pub mod read_through {}

    #[doc = include_str!("../docs/strategies/refresh_ahead.md")]
    pub mod refresh_ahead {}

    #[doc = include_str!("../docs/strategies/memoize.md")]
    pub mod memoize {}

    #[doc = include_str!("../docs/strategies/write_through.md")]
    pub mod write_through {}

    #[doc = include_str!("../docs/strategies/write_behind.md")]
    pub mod write_behind {}

    #[cfg(feature = "sql")]
    #[doc = include_str!("../docs/strategies/query_results.md")]
    pub mod query_results {}
}

#[doc = include_str!("../docs/architecture.md")]
pub mod architecture {}

#[doc = include_str!("../docs/security.md")]
pub mod security {}

#[doc = include_str!("../docs/defaults.md")]
pub mod defaults {}

#[doc = include_str!("../docs/advice.md")]
pub mod advice {}

#[doc = include_str!("../docs/vocabulary.md")]
pub mod vocabulary {}

#[doc = include_str!("../docs/errors.md")]
pub mod errors {}

#[doc = include_str!("../docs/series.md")]
pub mod series {}

#[doc = include_str!("../docs/why_stale.md")]
pub mod why_stale {}

#[doc = include_str!("../docs/sizing.md")]
pub mod sizing {}

#[doc = include_str!("../docs/upgrading.md")]
pub mod upgrading {}

#[doc = include_str!("../docs/comparison.md")]
pub mod comparison {}

#[doc = include_str!("../docs/faq.md")]
pub mod faq {}

/// The README, whose example is compiled and run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
