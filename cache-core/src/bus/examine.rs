//! What a NATS says of itself, for people who look for trouble.

use crate::access;
use crate::bus::server::NatsAt;
use crate::clock::Clock;
use crate::error::{Error, Kind};
use std::time::Duration;
use tokio::time::timeout;

const DOING: &str = "connecting to NATS";

/// What one look at a NATS found.
#[derive(Clone, Debug)]
pub struct BusState {
    /// The server's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it has JetStream.
    pub jetstream: bool,
    /// The largest message it takes, in bytes.
    pub payload_max: usize,
    /// How long it took to let this process in.
    pub took: Duration,
}

/// Connects, and asks. Nothing is published.
///
/// # Errors
/// [`Kind::Unavailable`] when nobody lets this process in within `patience`, and
/// [`Kind::Invalid`] for files that cannot be used.
pub async fn examine(
    at: &NatsAt,
    patience: Duration,
    clock: &dyn Clock,
) -> Result<BusState, Error> {
    let hosts = access::hosts(&at.urls);
    let failed = |why: String| {
        let hint = access::hint(&why).unwrap_or("is it running, and is the address right?");
        Error::new(Kind::Unavailable, DOING, hosts.clone())
            .because(why)
            .hint(hint)
    };
    let urls: Vec<_> = at.urls.split(',').map(str::trim).collect();
    let options = at.options()?.connection_timeout(patience);
    let looking = async {
        let began = clock.now();
        let connected = options.connect(urls).await;
        let client = connected.map_err(|error| failed(error.to_string()))?;
        let took = clock.now().since(began);
        let info = client.server_info();
        Ok(BusState {
            name: info.server_name,
            version: info.version,
            jetstream: info.jetstream,
            payload_max: info.max_payload,
            took,
        })
    };
    match timeout(patience, looking).await {
        Ok(found) => found,
        Err(_) => Err(failed(format!("no answer within {patience:?}"))),
    }
}
