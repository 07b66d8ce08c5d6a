//! A two-tier cache that is right after the database changed.
//!
//! - [`Cache`]: the handle; [`Cache::get`] and [`Cache::get_or_load`] are
//!   cache-aside, [`Cache::read_through`] makes a cache that loads by itself,
//!   [`Cache::write_through`] one that writes, [`Cache::write_behind`] one that writes
//!   a little later, [`Cache::memoize`] a function with a cache before it;
//!   [`Cache::in_session`] one for a client that must not go back;
//!   [`Cache::builder`] opens one in one expression.
//! - [`connect::open`] joins a [`Domain`]: L2, the bus, and what keeps this process's
//!   caches coherent.
//! - [`Policy`]: the limits and lifetimes of one cache.
//! - [`KeyTemplate`]: keys, as the application and the invalidator's rules share them.
//! - [`Cache::explain`] and [`Cache::switches`]: what people ask of a running cache, and what
//!   they set.
//! - `query`: keys and tags from the text of a SQL statement (feature `sql`).
//! - [`tier::Remote`], [`bus::Bus`] and [`queue::Queue`]: the seams, with a contract suite each in
//!   `testkit`.
//! - [`manual`]: concepts, steps with examples, what is promised, the architecture, the defaults.
#![deny(missing_docs)]

pub mod access;
pub mod advice;
pub mod builder;
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
pub mod manual;
pub mod metrics;
pub mod model;
#[cfg(feature = "ops")]
pub mod ops;
pub mod policy;
#[cfg(feature = "sql")]
pub mod query;
pub mod queue;
mod queue_series;
pub mod random;
mod series;
mod shim;
pub mod source;
pub mod strategy;
pub mod switches;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod tier;
pub mod wire;

pub use cache::Cache;
pub use connect::DomainSettings;
pub use domain::{Domain, Role};
pub use error::{Error, Kind};
pub use fill::Ask;
pub use fill::explain::Explanation;
pub use fill::offer::FillOutcome;
pub use model::as_of::AsOf;
pub use model::key::{Key, Name};
pub use model::lifetime::Lifetime;
pub use model::position::Position;
pub use model::session::Session;
pub use model::tag::Tag;
pub use model::template::KeyTemplate;
pub use policy::Policy;
pub use source::{BulkWriter, Due, Loaded, Loader, Stale, Wanted, WriteError, Writer};
pub use strategy::cache_aside::{FillTicket, Hit, Lookup};
pub use strategy::commit::Receipt;
pub use strategy::memoize::Memoized;
pub use strategy::read_through::ReadThrough;
pub use strategy::session::InSession;
pub use strategy::touch::TouchOutcome;
pub use strategy::unleased::SetOutcome;
pub use strategy::warm_up::{WarmUp, Warmed};
pub use strategy::write_behind::Behind;
pub use strategy::write_behind::handle::WriteBehind;
pub use strategy::write_through::WriteThrough;
pub use switches::Switches;
