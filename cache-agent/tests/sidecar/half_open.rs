//! Clients that stay connected and do not go on: each is let go in its time.

use crate::process::http;
use crate::stress::HELLO;
use crate::world::World;
use cache_core::testkit::until::until;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

/// Longer than the 30 s that a command and an answer may take, and than the two spans of
/// 20 s in which a client of HTTP/2 gives a sign of life.
const WITHIN: Duration = Duration::from_secs(55);

/// Reads until the other end closes; how long that took.
async fn closed(mut stream: impl tokio::io::AsyncRead + Unpin) -> Duration {
    let began = Instant::now();
    let mut sink = Vec::new();
    let ended = timeout(WITHIN, stream.read_to_end(&mut sink)).await;
    drop(ended.expect("it is let go"));
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_half_way_is_let_go() {
    let world = World::embedded().await;
    let mut half = TcpStream::connect(world.resp).await.expect("it listens");
    half.write_all(b"*2\r\n$3\r\nGET\r\n$9")
        .await
        .expect("it is there");
    let socket = world.folder.path().join("agent.sock");
    let mut unix = UnixStream::connect(socket).await.expect("it listens");
    unix.write_all(HELLO).await.expect("it is there");
    let mut tcp = TcpStream::connect(world.api).await.expect("it listens");
    // And half a frame after it.
    let most = [HELLO, &[0, 0, 9, 1]].concat();
    tcp.write_all(&most).await.expect("it is there");
    let quiet = TcpStream::connect(world.resp).await.expect("it listens");
    let (half, unix, tcp) = tokio::join!(closed(half), closed(unix), closed(tcp));
    println!("half a command {half:?}, silent {unix:?}, half a frame {tcp:?}");
    let at_least = Duration::from_secs(25);
    assert!(
        half >= at_least && unix >= at_least && tcp >= at_least,
        "and not at once"
    );
    let mut quiet = quiet;
    quiet.write_all(b"PING\r\n").await.expect("it is there");
    let mut pong = [0; 7];
    quiet.read_exact(&mut pong).await.expect("an answer");
    assert_eq!(&pong, b"+PONG\r\n", "between commands there is no hurry");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_no_answers_is_let_go() {
    let world = World::embedded().await;
    let value = "x".repeat(1024 * 1024);
    world.unix.store("user:1", &value).await;
    let mut deaf = TcpStream::connect(world.resp).await.expect("it listens");
    let ask = b"GET users:user:1\r\n".repeat(64);
    deaf.write_all(&ask).await.expect("it is there");
    let connections = |count: usize| {
        let line = format!("cacheaside_resp_connections {count}\n");
        async move { http(world.admin, "/metrics").await.1.contains(&line) }
    };
    until(WITHIN, "it is here", || connections(1))
        .await
        .expect("it is");
    until(WITHIN, "it is let go", || connections(0))
        .await
        .expect("its answers are not kept for ever");
}
