//! The reads of L2 that looks are made of: many at a time, so many at once.

use super::Sample;
use cache_core::Name;
use cache_core::model::key::{Address, Key, KeySpace};
use cache_core::tier::{Reading, Remote, RemoteError};
use cache_core::wire::invalidation::Target;
use futures_util::{StreamExt, stream};

/// How many reads are under way at once. At 0.5 ms each that is a hundred thousand a
/// second, and no more than a busy process has on the same connections.
pub const READS_AT_ONCE: usize = 64;

/// Reads what L2 holds of each sample; the answers come in the order of the request.
pub async fn read_all(
    remote: &dyn Remote,
    domain: &Name,
    samples: &[Sample],
) -> Vec<Result<Reading, RemoteError>> {
    // Collected first: the compiler does not see that a stream of closures is `Send`.
    let reads: Vec<_> = samples
        .iter()
        .map(|sample| read(remote, domain, &sample.target))
        .collect();
    stream::iter(reads).buffered(READS_AT_ONCE).collect().await
}

async fn read(remote: &dyn Remote, domain: &Name, target: &Target) -> Result<Reading, RemoteError> {
    match address(domain, target) {
        Some(address) => remote.read(&address).await,
        None => Err(RemoteError::Failed("it has no record".to_owned())),
    }
}

/// Where the record of a key or a tag lives.
fn address(domain: &Name, target: &Target) -> Option<Address> {
    let space = |cache: &Name| KeySpace::new(domain.clone(), cache.clone());
    match target {
        Target::Key { cache, key } => Some(space(cache).address(Key::new(key).ok()?)),
        Target::Tag { cache, tag } => Some(space(cache).tag_address(tag)),
        Target::Bucket(_) => None,
    }
}
