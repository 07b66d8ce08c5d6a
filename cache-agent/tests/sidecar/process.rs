//! The program itself: what it prints, how it ends.

use crate::settings::{REPORT, WRONG};
use crate::world::{Client, Got};
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::testkit::until::{until, until_some};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// The program.
pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_cache-agent");

/// A GET: the status code and the body.
pub(crate) async fn http(address: SocketAddr, path: &str) -> (u16, String) {
    try_http(address, path).await.expect("an answer")
}

/// The same, asked by this name.
pub(crate) async fn http_to(host: &str, address: SocketAddr, path: &str) -> (u16, String) {
    let answer = try_http_to(host, address, path).await;
    answer.expect("an answer")
}

pub(crate) async fn try_http(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    try_http_to("agent", address, path).await
}

async fn try_http_to(host: &str, address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let code = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((code, body.to_owned()))
}

/// The program with these arguments, to be started.
pub(crate) fn agent(args: &[&str]) -> Command {
    let mut command = Command::new(AGENT);
    command
        .args(args)
        .env_remove("RUST_LOG")
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// The exit code and what was said on standard error.
async fn ended(args: &[&str]) -> (Option<i32>, String) {
    let output = agent(args).output().await.expect("the program runs");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Sends a signal to a process that runs.
pub(crate) async fn signal(child: &Child, name: &str) {
    let id = child.id().expect("it runs").to_string();
    let sent = Command::new("sh")
        .args(["-c", r#"kill -"$1" "$2""#, "sh", name, &id])
        .status()
        .await;
    assert!(sent.expect("sh runs").success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dev_shows_the_whole_of_it_and_sees_nothing_stale() {
    let args = ["dev", "--for", "3s", "--port", "0", "--admin-port", "0"];
    let mut child = agent(&args)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = async || {
        lines
            .next_line()
            .await
            .expect("text")
            .expect("another line")
    };
    let mut addresses = Vec::new();
    while addresses.len() < 3 {
        let line = next().await;
        let word = line
            .split_whitespace()
            .last()
            .unwrap_or_default()
            .to_owned();
        if ["  page", "  gRPC", "      "]
            .iter()
            .any(|start| line.starts_with(start))
        {
            addresses.push(word);
        }
    }
    let page = addresses[0]
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    let page: SocketAddr = page.parse().expect("the page's address");
    for path in ["/", "/live", "/ready", "/metrics"] {
        assert_eq!(http(page, path).await.0, 200, "{path}");
    }
    for door in [format!("http://{}", addresses[1]), addresses[2].clone()] {
        let got = Client::connect(&door).await.get("user:7").await;
        assert!(
            matches!(got, Got::Hit(_) | Got::Busy | Got::Lease(_)),
            "{got:?}"
        );
    }
    let moving = || async {
        let (_, stats) = http(page, "/stats.json").await;
        let stats: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
        let number = |value: &serde_json::Value| value.as_u64().unwrap_or(0);
        number(&stats["agent"]["lag"]["count"]) > 0 && number(&stats["demo"]["checked"]) > 100
    };
    until(Duration::from_secs(2), "the demo moves", moving)
        .await
        .unwrap();
    let mut last = next().await;
    while let Some(line) = lines.next_line().await.expect("text") {
        last = line;
    }
    println!("{last}");
    assert!(
        last.contains(" 0 stale reads of ") && last.contains(" 0 failed"),
        "{last}"
    );
    assert_eq!(child.wait().await.expect("it ended").code(), Some(0));
}

#[tokio::test]
async fn dev_takes_a_free_port_when_its_own_is_taken() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let args = [
        "dev",
        "--no-demo",
        "--for",
        "100ms",
        "--admin-port",
        "0",
        "--port",
        &port,
    ];
    let output = agent(&args).output().await.expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(&format!("(port {port} was taken)")), "{text}");
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn a_wrong_file_is_told_with_exit_code_2_and_checked_with_3() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("agent.toml");
    std::fs::write(&file, WRONG).expect("a file");
    let name = file.to_str().expect("a plain path");
    let report = REPORT.replace("agent.toml", name);
    for (command, code) in [("serve", 2), ("check", 3)] {
        let (ended, text) = ended(&[command, "--config", name]).await;
        assert_eq!((ended, text.trim_end()), (Some(code), report.as_str()));
    }
    let (code, text) = ended(&["serve", "--config", "/nowhere/agent.toml"]).await;
    assert_eq!(code, Some(2));
    assert!(text.contains("cannot read /nowhere/agent.toml"), "{text}");
    assert_eq!(ended(&["serv"]).await.0, Some(2));
    assert_eq!(ended(&["dev", "--for", "soon"]).await.0, Some(2));
}

/// A file for an agent in `folder`, and where its admin listener will be.
pub(crate) fn settings(
    folder: &Path,
    redis: &str,
    nats: &str,
    start: &str,
) -> (String, SocketAddr) {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let admin = free.local_addr().expect("its address");
    let socket = folder.join("agent.sock");
    let text = format!(
        "start = '{start}'\n[domain]\ntrust_by = 'echo'\n[listen]\nunix = '{}'\n\
         [admin]\naddress = '{admin}'\n[drain]\ndelay = '0ms'\n\
         [l2]\nkind = 'single'\nurls = ['{redis}']\n[bus]\nurl = '{nats}'\n[[cache]]\nname = 'users'\n",
        socket.display()
    );
    let file = folder.join("agent.toml");
    std::fs::write(&file, text).expect("a file");
    (file.to_str().expect("a plain path").to_owned(), admin)
}

#[tokio::test]
async fn what_cannot_be_reached_is_named_with_exit_code_4() {
    let folder = TempDir::new().expect("a folder");
    // Nothing listens on the lowest ports of a test machine.
    let (file, _) = settings(
        folder.path(),
        "redis://127.0.0.1:1",
        "nats://127.0.0.1:1",
        "refuse",
    );
    let (code, text) = ended(&["serve", "--config", &file]).await;
    assert_eq!(code, Some(4), "{text}");
    assert!(
        text.contains("connecting to Redis: 127.0.0.1:1: cannot be reached"),
        "{text}"
    );
    assert!(text.contains("is it running"), "{text}");
    let redis = RedisServer::start().await.expect("a Redis");
    let (file, _) = settings(folder.path(), &redis.url(), "nats://127.0.0.1:1", "refuse");
    let (code, text) = ended(&["serve", "--config", &file]).await;
    assert_eq!(code, Some(4), "{text}");
    assert!(
        text.contains("NATS") && text.contains("127.0.0.1:1"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_degraded_start_answers_misses_until_its_servers_are_there() {
    let (redis, nats) = tokio::join!(RedisServer::start(), NatsServer::start());
    let (redis, nats) = (redis.expect("a Redis"), nats.expect("a NATS"));
    redis.kill9();
    let folder = TempDir::new().expect("a folder");
    let (file, admin) = settings(folder.path(), &redis.url(), &nats.url(), "degraded");
    let mut child = agent(&["serve", "--config", &file])
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    let within = Duration::from_secs(20);
    let up = || async {
        try_http(admin, "/live")
            .await
            .is_some_and(|(code, _)| code == 200)
    };
    until(within, "the agent is up", up).await.unwrap();
    assert_eq!(http(admin, "/ready").await.0, 503);
    let client = Client::connect(&format!("unix://{}/agent.sock", folder.path().display())).await;
    assert_eq!(
        client.get("user:1").await,
        Got::Busy,
        "a miss without a lease"
    );

    redis.restart().await.expect("Redis is there");
    let ready = || async { http(admin, "/ready").await.0 == 200 };
    until(within, "the agent is ready", ready).await.unwrap();
    let lease = || async {
        match client.get("user:1").await {
            Got::Lease(token) => Some(token),
            _ => None,
        }
    };
    let token = until_some(within, "a lease", lease).await.unwrap();
    let outcome = client.fill("user:1", &token, "Ada").await;
    assert_eq!(outcome, cache_agent::proto::v1::FillOutcome::Stored);

    signal(&child, "TERM").await;
    assert_eq!(child.wait().await.expect("it ended").code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let folder = TempDir::new().expect("a folder");
        let (redis, nats) = ("redis://127.0.0.1:1", "nats://127.0.0.1:1");
        let (file, admin) = settings(folder.path(), redis, nats, "degraded");
        let text = std::fs::read_to_string(&file).expect("the file");
        std::fs::write(&file, text.replace("'0ms'", "'600s'")).expect("the file");
        let mut child = agent(&["serve", "--config", &file])
            .stderr(Stdio::null())
            .spawn()
            .expect("the program runs");
        let within = Duration::from_secs(20);
        let up = || async { try_http(admin, "/live").await.is_some() };
        until(within, "the agent is up", up).await.unwrap();
        signal(&child, name).await;
        let drains = || async { http(admin, "/ready").await.1 == "draining\n" };
        until(within, "it drains", drains).await.unwrap();
        signal(&child, name).await;
        assert_eq!(child.wait().await.expect("it ended").code(), Some(code));
    }
}
