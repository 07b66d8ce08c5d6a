//! An application that loads and writes for the agent, as a small database.

use bytes::Bytes;
use cache_agent::caches::Caches;
use cache_agent::proto::v1::loader_service_server::{LoaderService, LoaderServiceServer};
use cache_agent::proto::v1::{self, loaded, stored, write};
use cache_agent::strategies::{SourceAt, Strategies, Strategy, WriteMode};
use cache_core::Policy;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};

/// The application. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Application(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    /// The rows, with the version of the write that made each.
    pub(crate) rows: HashMap<Bytes, (Bytes, u64)>,
    /// The sizes of the calls of Load and BatchLoad.
    pub(crate) loads: Vec<usize>,
    /// The same of Store and BatchStore.
    pub(crate) stores: Vec<usize>,
    /// What was last asked for.
    pub(crate) wanted: Option<v1::Wanted>,
    /// What every call answers with instead.
    pub(crate) error: Option<Code>,
    /// Whether no call is ever answered.
    pub(crate) hangs: bool,
    /// How long each takes.
    pub(crate) takes: Duration,
}

impl Application {
    /// Serves on any free port.
    pub(crate) async fn start(&self) -> String {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(any).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let service = LoaderServiceServer::new(self.clone());
        let router = Server::builder().add_service(service);
        tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
        format!("http://{address}")
    }

    /// Serves on a Unix socket.
    pub(crate) fn start_at(&self, path: &Path) {
        let listener = UnixListener::bind(path).expect("a socket");
        let service = LoaderServiceServer::new(self.clone());
        let router = Server::builder().add_service(service);
        let incoming = UnixListenerStream::new(listener);
        tokio::spawn(router.serve_with_incoming(incoming));
    }

    pub(crate) fn state(&self) -> parking_lot::MutexGuard<'_, State> {
        self.0.lock()
    }

    pub(crate) fn put(&self, key: &str, value: &str) {
        let value = Bytes::copy_from_slice(value.as_bytes());
        let key = Bytes::copy_from_slice(key.as_bytes());
        self.state().rows.insert(key, (value, 0));
    }

    pub(crate) fn row(&self, key: &str) -> Option<String> {
        let row = self.state().rows.get(key.as_bytes()).cloned();
        row.map(|(value, _)| String::from_utf8_lossy(&value).into_owned())
    }

    async fn answer(&self) -> Result<(), Status> {
        let (hangs, takes, error) = {
            let state = self.state();
            (state.hangs, state.takes, state.error)
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        if !takes.is_zero() {
            cache_core::testkit::until::pace(takes).await;
        }
        error.map_or(Ok(()), |code| {
            Err(Status::new(code, "as the test wants it"))
        })
    }

    fn load_one(&self, wanted: v1::Wanted) -> v1::Loaded {
        let mut state = self.state();
        let row = state.rows.get(&wanted.key).map(|(value, _)| value.clone());
        state.wanted = Some(wanted);
        v1::Loaded {
            loaded: Some(match row {
                Some(value) => loaded::Loaded::Value(value),
                None => loaded::Loaded::NotFound(loaded::NotFound {}),
            }),
            validator: Bytes::from_static(b"v1"),
            ..Default::default()
        }
    }

    fn store_one(&self, one: v1::Write) -> v1::Stored {
        let mut state = self.state();
        let newest = state.rows.get(&one.key).map_or(0, |(_, version)| *version);
        if one.version != 0 && one.version <= newest {
            return v1::Stored::default();
        }
        let holds = match one.change {
            Some(write::Change::Value(value)) => {
                state.rows.insert(one.key, (value, one.version));
                stored::Holds::AsSent(stored::AsSent {})
            }
            Some(write::Change::Deletion(_)) | None => {
                state.rows.remove(&one.key);
                stored::Holds::NotFound(stored::NotFound {})
            }
        };
        v1::Stored {
            holds: Some(holds),
            ..Default::default()
        }
    }
}

#[tonic::async_trait]
impl LoaderService for Application {
    async fn load(
        &self,
        request: Request<v1::LoadRequest>,
    ) -> Result<Response<v1::LoadResponse>, Status> {
        self.state().loads.push(1);
        self.answer().await?;
        let wanted = request.into_inner().wanted.expect("it is always set");
        let loaded = Some(self.load_one(wanted));
        Ok(Response::new(v1::LoadResponse { loaded }))
    }

    async fn batch_load(
        &self,
        request: Request<v1::BatchLoadRequest>,
    ) -> Result<Response<v1::BatchLoadResponse>, Status> {
        let wanted = request.into_inner().wanted;
        self.state().loads.push(wanted.len());
        self.answer().await?;
        let loaded = wanted.into_iter().map(|one| self.load_one(one)).collect();
        Ok(Response::new(v1::BatchLoadResponse { loaded }))
    }

    async fn store(
        &self,
        request: Request<v1::StoreRequest>,
    ) -> Result<Response<v1::StoreResponse>, Status> {
        self.state().stores.push(1);
        self.answer().await?;
        let write = request.into_inner().write.expect("it is always set");
        let stored = Some(self.store_one(write));
        Ok(Response::new(v1::StoreResponse { stored }))
    }

    async fn batch_store(
        &self,
        request: Request<v1::BatchStoreRequest>,
    ) -> Result<Response<v1::BatchStoreResponse>, Status> {
        let writes = request.into_inner().writes;
        self.state().stores.push(writes.len());
        self.answer().await?;
        let stored = writes.into_iter().map(|one| self.store_one(one)).collect();
        Ok(Response::new(v1::BatchStoreResponse { stored }))
    }
}

/// The policy of a cache that loads by itself.
pub(crate) fn policy(name: &str) -> Policy {
    let mut policy = Policy::new(name).expect("a name");
    // Long enough for a machine that has much else to do.
    policy.load_timeout = Duration::from_secs(10);
    policy.write_timeout = Duration::from_secs(10);
    policy.lease = Duration::from_secs(12);
    policy.loads_ramp = Duration::ZERO;
    policy.lifetime.jitter = 0.0;
    policy
}

/// The cache `users`, which reads through and writes like this.
pub(crate) fn caches(source: SourceAt, policy: Policy, writes: WriteMode) -> Caches {
    let strategy = Strategy {
        reads: true,
        writes,
    };
    let strategies = Strategies {
        source: Some(source),
        of: [(policy.name.clone(), strategy)].into(),
    };
    Caches::with([policy], strategies)
}
