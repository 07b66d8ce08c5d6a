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
use tonic::service::Routes;
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
    /// The services. Made once for all doors: their descriptions take a megabyte.
    routes: Routes,
    gate: Gate,
    accept: Accept,
    callers: Callers,
}

impl Grpc {
    /// The API behind its gate, on connections that are taken, for these callers; the health
    /// service answers from `health`.
    ///
    /// # Errors
    /// The contract cannot be described.
    pub fn new(
        agent: Agent,
        gate: Gate,
        accept: Accept,
        callers: Callers,
        health: HealthReporter,
    ) -> io::Result<Self> {
        Ok(Self {
            routes: routes(agent, health)?,
            gate,
            accept,
            callers,
        })
    }

    /// Serves on a Unix socket until `close`, and then what was already asked.
    ///
    /// # Errors
    /// The transport's.
    pub async fn serve_unix(self, door: UnixDoor, close: CancellationToken) -> io::Result<()> {
        let (listener, _file) = door.open();
        let incoming = self.accept.clone().from_unix(listener).map_ok(Mended::new);
        let router = self.router();
        let served = router.serve_with_incoming_shutdown(incoming, close.cancelled_owned());
        served.await.map_err(io::Error::other)
    }

    /// The same on a port.
    ///
    /// # Errors
    /// The transport's.
    pub async fn serve_tcp(self, door: TcpListener, close: CancellationToken) -> io::Result<()> {
        let incoming = self.accept.clone().from(door);
        let router = self.router();
        let served = router.serve_with_incoming_shutdown(incoming, close.cancelled_owned());
        served.await.map_err(io::Error::other)
    }

    fn router(self) -> Router<Stack<Callers, Stack<Gate, Identity>>> {
        Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .http2_max_header_list_size(HEADERS_BYTES_MAX)
            .max_concurrent_streams(STREAMS_MAX)
            .layer(self.gate)
            .layer(self.callers)
            .add_routes(self.routes)
    }
}

fn routes(agent: Agent, health: HealthReporter) -> io::Result<Routes> {
    let service = Service::new(agent);
    let cache = CacheServiceServer::new(service.clone())
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let stream = StreamServiceServer::new(service.clone())
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let invalidation =
        InvalidationServiceServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let describe = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(Routes::new(cache)
        .add_service(invalidation)
        .add_service(stream)
        .add_service(HealthServer::new(HealthService::from_health_reporter(
            health,
        )))
        .add_service(describe().build_v1().map_err(io::Error::other)?)
        // Tools older than version 1 of reflection ask for this one.
        .add_service(describe().build_v1alpha().map_err(io::Error::other)?))
}
