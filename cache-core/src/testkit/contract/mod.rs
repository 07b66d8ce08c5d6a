//! One suite for every implementation of a seam.

mod asking;
pub mod bus;
mod expired;
mod losses;
pub mod queue;
pub mod remote;
mod touched;
mod writes;
