//! What operators do with a running invalidator, beside the command line that says it.
//!
//! | to know or to do | read |
//! | --- | --- |
//! | make the streams and the consumer, and see whether they are as asked | [`setup`] |
//! | whether the stream lasts for an outage | [`fitness`], [`look`] |

pub mod fitness;
pub mod look;
pub mod setup;
