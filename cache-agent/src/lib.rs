//! The sidecar of the two-tier cache: services in any language read, fill and
//! invalidate through it, over gRPC on a Unix socket or a loopback port.
//!
//! The contract is `proto/cacheaside/v1/cache.proto`. A read answers one of three
//! things: a value, the knowledge that there is none, or a miss. A miss may carry a
//! **lease**: its caller is the only one in the fleet to load the value, and sends
//! it to `Fill`. If the key is invalidated meanwhile, the fill stores nothing.
//!
//! For callers one rule stands above all: any error from the agent is a miss
//! without a lease. Read the source.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`calls`] | what each call does, free of gRPC |
//! | [`leases`] | what callers hold between a miss and its fill |
//! | [`convert`], [`failure`] | messages and errors, in and out |
//! | [`service`], [`gate`], [`grpc`] | the gRPC server |
//! | [`app`] | the life of an agent: listen, join, serve, drain |
//! | [`page`], [`stats`], [`observe`], [`sizes`] | the built-in page, the numbers, the series |
//! | [`dev`], [`demo`] | all of it in one process, with a database that changes |
//! | [`config`], [`cli`] | the configuration file and the command line |

pub mod accept;
pub mod app;
pub mod caches;
pub mod callers;
pub mod calls;
pub mod cli;
pub mod config;
pub mod convert;
pub mod deadline;
pub mod demo;
pub mod dev;
pub mod failure;
pub mod gate;
pub mod grpc;
pub mod health;
pub mod leases;
pub mod listen;
pub mod observe;
pub mod page;
pub mod proto;
pub mod service;
pub mod sizes;
pub mod stats;
