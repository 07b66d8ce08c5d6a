//! Turns change events from NATS JetStream into versioned invalidations.
//!
//! ```text
//! consume -> decide (format, rules, mapping) -> outbox (batch, announce,
//!            dead letter, ack) -> late (the same again, until L2 has it)
//! ```
//!
//! | to know | read |
//! | --- | --- |
//! | which events are understood | [`format`](mod@format) |
//! | how rows become keys and tags | [`rules`], [`mapping`] |
//! | what is safe in which order | [`outbox`] |
//! | what is announced a second time | [`repeat`] |
//! | what happens when something is away | [`late`], [`pipeline`] |
//! | what becomes of unreadable events | [`decide`], [`dead_letter`] |
//! | the stream, its consumer and its continuity | [`source`], [`consume`], [`watch`] |
//! | what L2 should hold after everything stopped | [`recall`] |
//! | whether what was announced still holds | [`inspect`] |
//! | how events come from databases | [`capture`] |
//! | whether a database tells what the rules need | [`catalog`] |
//! | whether everything is paused | [`pause`] |
//! | the two files | [`config`], [`settings`], [`schema`] |
//! | what NATS made of what it was asked for | [`echo`] |
//! | what operators do | [`operate`] |
//! | the series | [`metrics`] |
//! | the page over them | [`page`] |
//!
//! It holds no cache and never asks an L1 anything: it announces through the same
//! door as every other writer. Several instances share one durable consumer and
//! know nothing of each other; positions make every order and every repetition of
//! their work come to the same end.
#![deny(missing_docs)]

pub mod app;
pub mod at;
pub mod batch;
pub mod capture;
pub mod catalog;
pub mod change;
pub mod cli;
pub mod config;
pub mod consume;
pub mod dead_letter;
pub mod decide;
pub mod delivery;
pub mod echo;
pub mod explain;
pub mod format;
pub mod headers;
pub mod inspect;
pub mod landmark;
pub mod late;
pub mod mapping;
pub mod metrics;
pub mod operate;
pub mod outbox;
pub mod page;
pub mod pattern;
pub mod pause;
pub mod pipeline;
pub mod postgres;
pub mod recall;
pub mod repeat;
pub mod rules;
pub mod schema;
pub mod settings;
pub mod source;
pub mod tls;
pub mod watch;
