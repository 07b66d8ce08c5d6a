//! What stands between an old value and an answer, in one process: the fence
//! (what was invalidated here), the horizon (how far changes have been heard)
//! and the trust (whether this process would still hear them).

pub mod fence;
pub mod horizon;
pub mod trust;
