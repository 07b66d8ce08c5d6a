//! Clients of other libraries, as the bytes that they send.

use crate::world::World;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

const SETTINGS: u8 = 4;
const RST_STREAM: u8 = 3;
const HEADERS: u8 = 1;
const DATA: u8 = 0;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags, 0, 0, 0, stream]);
    bytes.extend(payload);
    bytes
}

/// A field by the number of its name, kept in the table.
fn field(name: u8, value: &str) -> Vec<u8> {
    let mut bytes = vec![0x40 | name, value.len() as u8];
    bytes.extend(value.as_bytes());
    bytes
}

/// A health check of somebody who names this host, by the number of the field or spelled out.
fn check(authority: &str, spelled_out: bool) -> Vec<u8> {
    let mut all = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    all.extend(frame(SETTINGS, 0, 0, &[]));
    // POST over http: fields that both ends know.
    let mut headers = vec![0x83, 0x86];
    headers.extend(field(4, "/grpc.health.v1.Health/Check"));
    match spelled_out {
        false => headers.extend(field(1, authority)),
        true => {
            let named = [b"\x40\x0a:authority", &field(0, authority)[1..]];
            headers.extend(named.concat());
        }
    }
    headers.extend(field(31, "application/grpc"));
    headers.extend(b"\x40\x02te\x08trailers");
    all.extend(frame(HEADERS, 0x4, 1, &headers));
    // A message of no bytes, and the end.
    all.extend(frame(DATA, 0x1, 1, &[0; 5]));
    all
}

/// What the first call is answered with: the kinds of its frames up to its end.
async fn answered(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> Vec<u8> {
    stream.write_all(bytes).await.expect("it listens");
    let mut kinds = Vec::new();
    let reading = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.expect("a frame");
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await.expect("its payload");
            let (kind, flags, on) = (head[3], head[4], head[8]);
            if on == 1 {
                kinds.push(kind);
                let ends = kind == RST_STREAM || flags & 0x1 != 0;
                if ends {
                    return;
                }
            }
        }
    };
    let within = Duration::from_secs(5);
    tokio::time::timeout(within, reading)
        .await
        .expect("an answer in time");
    kinds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_names_the_socket_as_its_host_is_answered() {
    let world = World::embedded().await;
    let path = world.folder.path().join("agent.sock");
    for authority in [
        "localhost",
        "/run/agent.sock",
        "run%2Fagent.sock",
        "%2Frun%2Fagent.sock",
    ] {
        for spelled_out in [false, true] {
            let stream = UnixStream::connect(&path).await.expect("it listens");
            let kinds = answered(stream, &check(authority, spelled_out)).await;
            assert_eq!(kinds, [HEADERS, DATA, HEADERS], "{authority}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_mending_such_a_client_would_be_reset() {
    let world = World::embedded().await;
    let connect = || TcpStream::connect(world.api);
    let stream = connect().await.expect("it listens");
    assert_eq!(
        answered(stream, &check("localhost", false)).await,
        [HEADERS, DATA, HEADERS]
    );
    let stream = connect().await.expect("it listens");
    assert_eq!(
        answered(stream, &check("/run/agent.sock", true)).await,
        [RST_STREAM]
    );
}
