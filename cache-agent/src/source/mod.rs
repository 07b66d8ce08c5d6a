//! The application as the source of record: it implements `LoaderService`, and the agent
//! calls it for the caches that read or write through it.

pub mod load;
pub mod write;

use crate::convert::{self, Keeping};
use crate::proto::v1;
use crate::proto::v1::loader_service_client::LoaderServiceClient;
use crate::strategies::SourceAt;
use bytes::Bytes;
use cache_core::source::Cause;
use cache_core::{Error, Kind, Loaded};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// The largest message to and from the application, as on the agent's other side.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How much later than the tiers the transport gives a call up: so it is always the tiers,
/// who know a load that took too long from one that failed.
const MARGIN: Duration = Duration::from_millis(50);
/// How often a silent connection is asked whether it lives, and for how long.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// The application. Clones share its connection and its turns.
#[derive(Clone, Debug)]
pub struct Source {
    client: LoaderServiceClient<Channel>,
    /// The turns of loads, and those of writes: neither takes the other's.
    loads: Arc<Semaphore>,
    stores: Arc<Semaphore>,
    /// How many keys one call has at most.
    pub batch_max: usize,
}

/// An error that the application, or the way to it, answered with.
#[derive(Debug, thiserror::Error)]
#[error("the application answered {:?}: {}", .0.code(), .0.message())]
pub struct Answered(pub Status);

impl Source {
    /// The application at an address. It is connected to when it is first called, and
    /// whenever it was away.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what is no address.
    pub fn new(at: &SourceAt) -> Result<Self, Error> {
        let channel = endpoint(at)?
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .connect_lazy();
        Ok(Self {
            client: LoaderServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
            loads: Arc::new(Semaphore::new(at.calls_max)),
            stores: Arc::new(Semaphore::new(at.calls_max)),
            batch_max: at.batch_max,
        })
    }

    /// Connects to the application once, and hangs up.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when it does not listen.
    pub async fn reach(at: &SourceAt) -> Result<(), Error> {
        let connected = endpoint(at)?.connect().await;
        connected.map(drop).map_err(|cause| {
            Error::new(Kind::Unavailable, "connecting to the loader", &at.address).because(cause)
        })
    }
}

fn endpoint(at: &SourceAt) -> Result<Endpoint, Error> {
    Endpoint::from_shared(at.address.clone()).map_err(|cause| {
        Error::new(Kind::Invalid, "reading the loader's address", &at.address).because(cause)
    })
}

/// A call that is given up after so much time.
fn within<T>(message: T, span: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(span.saturating_add(MARGIN));
    request
}

/// What the application says of a value, as the tiers take it.
fn kept(
    value: Option<&Bytes>,
    options: Option<v1::StoreOptions>,
    most: usize,
) -> Result<Loaded<Bytes>, Cause> {
    let wrong = |failure: crate::failure::Failure| Cause::from(failure.message);
    let keeping = Keeping::of(options).map_err(wrong)?;
    if let Some(value) = value {
        convert::value(value, most).map_err(wrong)?;
    }
    let ttl = keeping.ttl;
    let loaded = keeping.loaded(value.cloned());
    Ok(match ttl {
        Some(ttl) => loaded.living(ttl),
        None => loaded,
    })
}
