//! For tests, this crate's and its users': real servers, and waiting for
//! conditions.

pub mod servers;
pub mod until;
