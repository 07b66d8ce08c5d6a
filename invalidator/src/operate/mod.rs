//! What operators do with a running invalidator, beside the command line that says it.
//!
//! | to know or to do | read |
//! | --- | --- |
//! | make the streams and the consumer, and see whether they are as asked | [`setup`] |
//! | whether the stream lasts for an outage | [`fitness`], [`look`] |
//! | how far everything is | [`lag`] |
//! | what comes, and what the rules make of it | [`read`], [`judged`] |
//! | dead letters | [`letters`] |
//! | throw out keys, tags and caches | [`target`], [`announce`] |
//! | throw out what past events made invalid | [`replay`] |
//! | refuse everything | [`epoch`], [`runbook`] |
//! | have all instances rest | [`rest`] |
//! | hold rules against what is expected of them | [`expect`] |
//! | dates | [`instant`] |

pub mod announce;
pub mod epoch;
pub mod expect;
pub mod fitness;
pub mod instant;
pub mod judged;
pub mod lag;
pub mod letters;
pub mod look;
pub mod read;
pub mod replay;
pub mod rest;
pub mod runbook;
pub mod setup;
pub mod target;
