//! A two-tier cache that is right after the database changed.
#![deny(missing_docs)]

pub mod bus;
pub mod cache;
pub mod clock;
pub mod coherence;
pub mod config;
pub mod connect;
pub mod domain;
pub mod error;
pub mod event;
pub mod fill;
pub mod flight;
pub mod guard;
pub mod metrics;
pub mod model;
#[cfg(feature = "ops")]
pub mod ops;
pub mod policy;
pub mod random;
pub mod source;
pub mod strategy;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod tier;
pub mod wire;

pub use cache::{Cache, SetOutcome};
pub use connect::DomainSettings;
pub use domain::{Domain, Role};
pub use error::{Error, Kind};
pub use fill::Ask;
pub use fill::offer::FillOutcome;
pub use model::as_of::AsOf;
pub use model::key::{Key, Name};
pub use model::lifetime::Lifetime;
pub use model::position::Position;
pub use model::tag::Tag;
pub use model::template::KeyTemplate;
pub use policy::Policy;
pub use source::{Loaded, Loader, Wanted};
pub use strategy::cache_aside::{FillTicket, Hit, Lookup};
pub use strategy::read_through::ReadThrough;
