//! Settings: read from TOML once, checked at the border, typed ever after.
//!
//! A configuration file is read with [`reader::read`], which reports everything
//! that is wrong with it at once.

pub mod access;
pub mod domain;
pub mod nats;
pub mod overrides;
pub mod reader;
pub mod report;
pub mod units;
pub mod wrong;
