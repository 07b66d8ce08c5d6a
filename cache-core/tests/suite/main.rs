//! All tests of cache-core that need more than one file's view, in one binary.

mod contract;
mod paths;
