//! For tests, this crate's and its users': a clock turned by hand, fleets of
//! processes in one, the contract suites of the seams, histories to replay, real
//! servers, and what pages say.

pub mod browser;
pub mod certificates;
pub mod clock;
pub mod contract;
pub mod deaf;
pub mod equations;
pub mod fleet;
pub mod history;
pub mod ledger;
pub mod logs;
pub mod manager;
pub mod markdown;
pub mod pages;
pub mod scrape;
pub mod servers;
pub mod troubled;
pub mod until;
