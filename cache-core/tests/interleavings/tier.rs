//! The seam of L2 as the crate has it, and the shipped files that stand on it.

pub(crate) use cache_core::tier::{Applied, Invalidate, Known, Record, Remote, Watermark};

#[path = "../../src/tier/front.rs"]
pub(crate) mod front;
#[path = "../../src/tier/l1.rs"]
pub(crate) mod l1;
#[path = "../../src/tier/tags.rs"]
pub(crate) mod tags;
