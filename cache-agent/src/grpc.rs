//! The gRPC server: the API behind its gate, health and reflection, on both doors.

use crate::accept::Accept;
use crate::authority::Mended;
use crate::callers::Callers;
use crate::calls::Agent;
use crate::gate::Gate;
use crate::listen::UnixDoor;
use crate::proto::DESCRIPTORS;
use crate::proto::v1::cache_service_server::CacheServiceServer;
use crate::proto::v1::invalidation_service_server::InvalidationServiceServer;
use crate::proto::v1::stream_service_server::StreamServiceServer;
use crate::service::Service;
use cache_core::policy::VALUE_BYTES_MAX;
use futures_util::TryStreamExt;
use std::io;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::layer::util::{Identity, Stack};

/// The largest message that is read or written: the largest value any cache may
/// allow, and as much again for tags, keys and batches.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
const _: () = assert!(MESSAGE_BYTES_MAX >= 2 * VALUE_BYTES_MAX);
/// The largest headers of a call, in bytes: a token, a trace, and room.
pub const HEADERS_BYTES_MAX: u32 = 16 * 1024;
/// How many calls run at once on one connection; the client holds back more. Well above
/// what one caller has in flight, and below what one could starve the others with.
pub const STREAMS_MAX: u32 = 256;
/// How often a silent connection is asked whether it lives, and for how long.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// What is served. Clones share it.
#[derive(Clone, Debug)]
pub struct Grpc {
    /// The API.
    pub agent: Agent,
    /// The gate before it.
    pub gate: Gate,
    /// Which connections are taken.
    pub accept: Accept,
    /// Who may call.
    pub callers: Callers,
    /// What the health service answers from.
    pub health: HealthReporter,
}

impl Grpc {
    /// Serves on a Unix socket until `close`, and then what was already asked.
    ///
    /// # Errors
    /// The transport's.
    pub async fn serve_unix(self, door: UnixDoor, close: CancellationToken) -> io::Result<()> {
        let (listener, _file) = door.open();
        let incoming = self.accept.clone().from_unix(listener).map_ok(Mended::new);
        let router = self.router()?;
        let served = router.serve_with_incoming_shutdown(incoming, close.cancelled_owned());
        served.await.map_err(io::Error::other)
    }

    /// The same on a port.
    ///
    /// # Errors
    /// The transport's.
    pub async fn serve_tcp(self, door: TcpListener, close: CancellationToken) -> io::Result<()> {
        let incoming = self.accept.clone().from(door);
        let router = self.router()?;
        let served = router.serve_with_incoming_shutdown(incoming, close.cancelled_owned());
        served.await.map_err(io::Error::other)
    }

    fn router(self) -> io::Result<Router<Stack<Callers, Stack<Gate, Identity>>>> {
        let service = Service::new(self.agent);
        let cache = CacheServiceServer::new(service.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let stream = StreamServiceServer::new(service.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let invalidation =
            InvalidationServiceServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let health = HealthServer::new(HealthService::from_health_reporter(self.health));
        let describe = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        Ok(Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .http2_max_header_list_size(HEADERS_BYTES_MAX)
            .max_concurrent_streams(STREAMS_MAX)
            .layer(self.gate)
            .layer(self.callers)
            .add_service(cache)
            .add_service(invalidation)
            .add_service(stream)
            .add_service(health)
            .add_service(describe().build_v1().map_err(io::Error::other)?)
            // Tools older than version 1 of reflection ask for this one.
            .add_service(describe().build_v1alpha().map_err(io::Error::other)?))
    }
}
