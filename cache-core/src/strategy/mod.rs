//! The strategies users read about, one a file.

pub mod batch;
pub mod cache_aside;
pub mod commit;
pub mod memoize;
pub mod read_through;
pub mod session;
pub mod touch;
pub mod unleased;
pub mod warm_up;
pub mod write_behind;
pub mod write_through;
