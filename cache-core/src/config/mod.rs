//! Settings: read from TOML once, checked at the border, typed ever after.
//!
//! A configuration file is read with [`reader::read`], which reports everything
//! that is wrong with it at once.

pub mod access;
pub mod domain;
mod keys;
pub mod nats;
pub mod overrides;
pub mod reader;
pub mod report;
mod section;
pub mod shown;
pub mod units;
pub mod wrong;
