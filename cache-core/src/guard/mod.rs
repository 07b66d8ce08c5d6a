//! What stands between an old value and an answer, in one process: the fence
//! (what was invalidated here), the horizon (how far changes have been heard), what
//! L2 owes (heard before L2 had it, or since lost by it), the landmarks (how far a replica is)
//! and the trust (whether this process would still hear of changes).

pub mod fence;
pub mod horizon;
pub mod landmarks;
pub mod owed;
pub mod recent;
pub mod trust;
