//! Which connections to the port are taken: encrypted, few enough, and of clients that speak.

use crate::world::{Client, Got, World};
use cache_agent::accept::{Accept, ServerTls};
use cache_agent::config;
use cache_core::access::{Identity, Tls};
use cache_core::testkit::certificates::{Certificates, Pair};
use cache_core::testkit::until::until;
use hyper_util::rt::TokioIo;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Error};
use tower::service_fn;

fn certificates() -> Certificates {
    Certificates::make().expect("a folder for certificates")
}

fn identity(pair: Pair) -> Identity {
    let Pair { cert, key } = pair;
    Identity { cert, key }
}

fn shows(certificates: &Certificates, asks: bool) -> Accept {
    let own = identity(certificates.server());
    let tls = ServerTls::new(own, asks.then(|| certificates.ca()));
    Accept {
        tls: Some(tls.expect("good files")),
        ..Accept::default()
    }
}

fn trusting(certificates: &Certificates) -> Tls {
    Tls {
        ca: Some(certificates.ca()),
        ..Tls::default()
    }
}

/// Connects with TLS, as any client of gRPC does.
async fn connect(to: SocketAddr, tls: &Tls) -> Result<Channel, Error> {
    let mut config = tls.client_config().expect("good files");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let connect = service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(to).await?;
            let name = "127.0.0.1".try_into().map_err(std::io::Error::other)?;
            connector.connect(name, stream).await.map(TokioIo::new)
        }
    });
    // What the address says is the business of the connector.
    let endpoint = Endpoint::from_static("http://agent");
    endpoint.connect_with_connector(connect).await
}

/// Whether a call over this connection is answered.
async fn answers(channel: Result<Channel, Error>) -> bool {
    match channel {
        Ok(channel) => {
            let client = Client::over(channel);
            let asked = client.try_get(crate::world::get("k")).await;
            matches!(asked, Ok(Got::Lease(_) | Got::Busy))
        }
        Err(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_with_tls_serves_nobody_in_the_clear() {
    let certificates = certificates();
    let (world, port) = World::embedded_accepting(shows(&certificates, false)).await;
    assert!(answers(connect(port, &trusting(&certificates)).await).await);
    let strangers = Tls {
        ca: Some(certificates.strangers_ca()),
        ..Tls::default()
    };
    assert!(!answers(connect(port, &strangers).await).await);
    assert!(world.tcp.try_get(crate::world::get("k")).await.is_err());
    // The socket is none of a network's.
    assert!(world.unix.try_get(crate::world::get("k")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_asks_for_certificates_takes_those_of_its_authority() {
    let certificates = certificates();
    let (_world, port) = World::embedded_accepting(shows(&certificates, true)).await;
    let with = |pair| Tls {
        identity: Some(identity(pair)),
        ..trusting(&certificates)
    };
    assert!(answers(connect(port, &with(certificates.client())).await).await);
    assert!(!answers(connect(port, &with(certificates.stranger())).await).await);
    assert!(!answers(connect(port, &trusting(&certificates)).await).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_renewed_without_a_restart() {
    let (old, new) = (certificates(), certificates());
    let folder = TempDir::new().expect("a folder");
    let own = Identity {
        cert: folder.path().join("cert"),
        key: folder.path().join("key"),
    };
    let put = |pair: Pair| {
        fs::copy(pair.cert, &own.cert).expect("it is writable");
        fs::copy(pair.key, &own.key).expect("it is writable");
    };
    put(old.server());
    let tls = ServerTls::new(own.clone(), None).expect("good files");
    let accept = Accept {
        tls: Some(tls),
        ..Accept::default()
    };
    let (_world, port) = World::embedded_accepting(accept).await;
    let stays = connect(port, &trusting(&old)).await;
    put(new.server());
    assert!(answers(connect(port, &trusting(&new)).await).await);
    assert!(!answers(connect(port, &trusting(&old)).await).await);
    assert!(answers(stays).await, "connections that stand go on");
    // What is half written is not used.
    fs::write(&own.key, "").expect("it is writable");
    assert!(answers(connect(port, &trusting(&new)).await).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_connections_are_taken_and_no_more() {
    let accept = Accept {
        connections_max: 2,
        ..Accept::default()
    };
    let (_world, port) = World::embedded_accepting(accept).await;
    let one = async || {
        let endpoint = Endpoint::from_shared(format!("http://{port}")).expect("an address");
        endpoint.connect().await
    };
    let first = one().await;
    assert!(answers(first.clone_ok()).await);
    let second = one().await;
    assert!(answers(second.clone_ok()).await, "at the limit");
    assert!(!answers(one().await).await, "above it");
    drop(first);
    let free = until(Duration::from_secs(10), "a place is free", || async {
        answers(one().await).await
    });
    free.await.expect("who goes makes room");
    assert!(answers(second).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_begin_to_speak_is_dropped() {
    let accept = Accept {
        connections_max: 1,
        patience: Duration::from_millis(300),
        ..Accept::default()
    };
    let (world, port) = World::embedded_accepting(accept).await;
    for said in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
        let mut silent = TcpStream::connect(port).await.expect("it listens");
        silent.write_all(said).await.expect("it is there");
        let mut answer = [0; 1];
        let ended = tokio::time::timeout(Duration::from_secs(10), silent.read(&mut answer));
        let ended = ended.await.expect("it is not waited for any longer");
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
    let back = || async { world.tcp.try_get(crate::world::get("k")).await.is_ok() };
    let free = until(Duration::from_secs(10), "its place is free", back).await;
    free.expect("silent ones take no places");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_begin_to_speak_to_the_socket_is_dropped_too() {
    let accept = Accept {
        // One is the world's own.
        connections_max: 2,
        patience: Duration::from_millis(300),
        ..Accept::default()
    };
    let (world, _) = World::embedded_accepting(accept).await;
    world.unix.get("k").await;
    let socket = world.folder.path().join("agent.sock");
    let other = async || {
        let address = format!("unix://{}", socket.display());
        let endpoint = Endpoint::from_shared(address).expect("an address");
        answers(endpoint.connect().await).await
    };
    let mut silent = UnixStream::connect(&socket).await.expect("it listens");
    silent.write_all(b"PRI").await.expect("it is there");
    let mut answer = [0; 1];
    let ended = tokio::time::timeout(Duration::from_secs(10), silent.read(&mut answer));
    let ended = ended.await.expect("it is not waited for any longer");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    let free = until(Duration::from_secs(10), "its place is free", other).await;
    free.expect("silent ones take no places");
    world.unix.get("k").await;
}

#[test]
fn the_keys_of_a_port_are_checked() {
    let certificates = certificates();
    let Pair { cert, key } = certificates.server();
    let text = |keys: &str| {
        format!(
            "[listen]\ntcp = '0.0.0.0:7390'\n{keys}[l2]\nkind = 'memory'\n[bus]\n\
             kind = 'memory'\n[[cache]]\nname = 'users'\n"
        )
    };
    let (cert, key) = (cert.display(), key.display());
    let ca = certificates.ca();
    let own = format!("tls_cert = '{cert}'\ntls_key = '{key}'\n");
    let asks = format!("{own}tls_client_ca = '{}'\n", ca.display());
    let read = config::read("a.toml", &text(&asks)).expect("nothing wrong");
    assert!(read.listen.accept.tls.is_some());
    let no = |keys: &str| {
        let refused = config::read("a.toml", &text(keys));
        refused.expect_err("it is refused").to_string()
    };
    // Encrypted, and yet nobody asks who calls.
    assert!(no(&own).contains("or ask for certificates with `tls_client_ca`"));
    assert!(no(&format!("tls_cert = '{cert}'\n")).contains("takes both"));
    let swapped = format!("tls_cert = '{key}'\ntls_key = '{cert}'\n");
    assert!(no(&swapped).contains("no private key in PEM"));
    assert!(no("tls_key = '/no/such'\n").contains("cannot be read"));
}

/// A second handle on the same connection.
trait CloneOk {
    fn clone_ok(&self) -> Result<Channel, Error>;
}

impl CloneOk for Result<Channel, Error> {
    fn clone_ok(&self) -> Result<Channel, Error> {
        Ok(self.as_ref().expect("it is connected").clone())
    }
}
