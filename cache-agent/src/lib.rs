//! The sidecar of the two-tier cache: services in any language read, fill and
//! invalidate through it, over gRPC on a Unix socket or a loopback port.
//!
//! The contract is the files in `proto/cacheaside/v1`. A read answers one of three
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
//! | [`convert`], [`wishes`], [`sessions`], [`metadata`] | what messages say, checked once |
//! | [`failure`], [`reason`] | errors, each with one code and one stable name |
//! | [`source`], [`strategies`] | the application that loads and writes, and for which caches |
//! | [`feed`], [`hot`] | what was heard of changes lately; what is asked for most |
//! | [`service`], [`gate`], [`turns`], [`exchanged`], [`authority`], [`grpc`] | the gRPC server |
//! | [`admin`] | the service for operators |
//! | [`app`] | the life of an agent: listen, join, serve, drain |
//! | [`page`], [`stats`], [`observe`], [`sizes`], [`parts`] | the built-in page, the numbers, the series, and what works |
//! | [`dev`], [`demo`] | all of it in one process, with a database that changes |
//! | [`config`], [`cli`] | the configuration file and the command line |
//! | [`reload`], [`reloads`], [`changed`] | the file, read again under way |

pub mod accept;
pub mod admin;
pub mod app;
pub mod authority;
pub mod caches;
pub mod callers;
pub mod calls;
pub mod changed;
pub mod cli;
pub mod config;
pub mod config_file;
pub mod convert;
pub mod deadline;
pub mod demo;
pub mod dev;
pub mod exchanged;
pub mod failure;
pub mod feed;
pub mod gate;
pub mod grpc;
pub mod health;
pub mod hot;
pub mod known;
pub mod leases;
pub mod listen;
pub mod metadata;
pub mod names;
pub mod observe;
pub mod page;
pub mod parts;
pub mod proto;
pub mod reason;
pub mod reload;
pub mod reloads;
pub mod resp;
pub mod service;
pub mod sessions;
pub mod sizes;
pub mod source;
pub mod stats;
pub mod strategies;
pub mod turns;
pub mod wishes;
