//! The RESP door: the same caches for whoever has a Redis client.
//!
//! A command's key is `cache:key`. Reads, deletes and lifetimes are Redis's own commands;
//! `CACHE.GETL` and `CACHE.FILL` are the lease, with which nothing stale is stored. A plain
//! `SET` has no lease: a cache takes it only if its policy says so (`unleased_set`).

pub mod args;
pub mod client;
pub mod command;
pub mod connection;
pub mod counts;
pub mod data;
pub mod door;
pub mod frame;
pub mod info;
pub mod refusal;
pub mod reply;
pub mod talk;
