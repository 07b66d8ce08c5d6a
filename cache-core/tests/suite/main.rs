//! All tests of cache-core that need more than one file's view, in one binary.

mod advice;
mod asks;
mod bad_l2;
mod batch;
mod breaker;
mod contract;
mod examples;
mod flights;
mod golden;
mod guard;
mod herd;
mod inspect;
mod losses;
mod memoize;
mod paths;
mod query;
mod query_reads;
mod races;
mod refresh;
mod replica;
mod session;
mod shadow;
mod stale;
mod warm_up;
mod write_behind;
mod write_through;
