//! The caches that each request names, by which it is permitted or not.

use crate::proto::v1;
use std::collections::BTreeSet;

/// The caches that a request names.
pub trait Names {
    /// Their names.
    fn caches(&self) -> Vec<&str>;
}

/// Requests about one cache.
macro_rules! of_one {
    ($($request:ident),* $(,)?) => {
        $(impl Names for v1::$request {
            fn caches(&self) -> Vec<&str> {
                vec![&self.cache]
            }
        })*
    };
}

/// Batches of such requests.
macro_rules! of_many {
    ($($batch:ident),* $(,)?) => {
        $(impl Names for v1::$batch {
            fn caches(&self) -> Vec<&str> {
                let all = self.requests.iter().map(|request| request.cache.as_str());
                all.collect::<BTreeSet<_>>().into_iter().collect()
            }
        })*
    };
}

of_one!(
    GetRequest,
    FillRequest,
    ReleaseLeaseRequest,
    SetRequest,
    TouchRequest,
    DeleteRequest,
    InvalidateRequest,
);

of_many!(BatchGetRequest, StreamBatchGetRequest, BatchSetRequest);

impl Names for v1::WatchRequest {
    fn caches(&self) -> Vec<&str> {
        self.caches.iter().map(String::as_str).collect()
    }
}
