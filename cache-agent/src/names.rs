//! The caches that each request names, by which it is permitted or not.

use crate::proto::v1;
use std::collections::BTreeSet;

/// The caches that a request names.
pub trait Names {
    /// Their names.
    fn caches(&self) -> Vec<&str>;
}

impl Names for v1::GetRequest {
    fn caches(&self) -> Vec<&str> {
        vec![&self.cache]
    }
}

impl Names for v1::BatchGetRequest {
    fn caches(&self) -> Vec<&str> {
        let all = self.requests.iter().map(|request| request.cache.as_str());
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl Names for v1::StreamBatchGetRequest {
    fn caches(&self) -> Vec<&str> {
        let all = self.requests.iter().map(|request| request.cache.as_str());
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl Names for v1::BatchSetRequest {
    fn caches(&self) -> Vec<&str> {
        let all = self.requests.iter().map(|request| request.cache.as_str());
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

impl Names for v1::WatchRequest {
    fn caches(&self) -> Vec<&str> {
        self.caches.iter().map(String::as_str).collect()
    }
}

impl Names for v1::TouchRequest {
    fn caches(&self) -> Vec<&str> {
        vec![&self.cache]
    }
}

impl Names for v1::DeleteRequest {
    fn caches(&self) -> Vec<&str> {
        vec![&self.cache]
    }
}

impl Names for v1::FillRequest {
    fn caches(&self) -> Vec<&str> {
        vec![&self.cache]
    }
}

impl Names for v1::ReleaseLeaseRequest {
    fn caches(&self) -> Vec<&str> {
        vec![&self.cache]
    }
}

impl Names for v1::SetRequest {
    fn caches(&self) -> Vec<&str> {
        vec![&self.cache]
    }
}

impl Names for v1::InvalidateRequest {
    fn caches(&self) -> Vec<&str> {
        vec![&self.cache]
    }
}
