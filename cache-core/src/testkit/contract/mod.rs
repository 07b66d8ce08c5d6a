//! One suite for every implementation of a seam.

pub mod bus;
pub mod remote;
