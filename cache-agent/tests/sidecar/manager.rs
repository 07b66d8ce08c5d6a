//! What the program tells the service manager that started it.

use crate::process::{agent, settings, signal};
use cache_core::testkit::manager::FakeManager;
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::testkit::until::until;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Child;
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(20);

fn start(file: &str, manager: &FakeManager, variables: &[(&str, &str)]) -> Child {
    agent(&["serve", "--config", file])
        .env("NOTIFY_SOCKET", manager.path())
        .envs(variables.iter().copied())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs")
}

fn place(manager: &FakeManager, line: &str) -> Option<usize> {
    let told = manager.told();
    told.iter()
        .position(|message| message.lines().any(|one| one == line))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_manager_hears_of_a_life_from_ready_to_stopping() {
    let servers = tokio::join!(RedisServer::start(), NatsServer::start());
    let (redis, nats) = (servers.0.expect("a Redis"), servers.1.expect("a NATS"));
    let (folder, manager) = (TempDir::new().expect("a folder"), FakeManager::new());
    let manager = manager.expect("a socket");
    let (file, _) = settings(folder.path(), &redis.url(), &nats.url(), "refuse");
    let variables = [("WATCHDOG_USEC", "400000")];
    let mut child = start(&file, &manager, &variables);
    manager.hears("READY=1", WITHIN).await.unwrap();
    manager.hears("STATUS=ready", WITHIN).await.unwrap();
    let lives = || async {
        let told = manager.told();
        told.iter().filter(|told| *told == "WATCHDOG=1").count() >= 5
    };
    until(WITHIN, "the watchdog is fed", lives).await.unwrap();
    signal(&child, "TERM").await;
    assert_eq!(child.wait().await.expect("it ended").code(), Some(0));
    let stopping = place(&manager, "STOPPING=1").expect("it says that it stops");
    assert_eq!(
        manager.told()[stopping],
        // No delay, 25 s to drain, and 20 s to leave.
        "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=45000000"
    );
    assert!(place(&manager, "READY=1").expect("it was ready") < stopping);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_degraded_start_is_ready_at_once_and_says_what_is_away() {
    let (folder, manager) = (TempDir::new().expect("a folder"), FakeManager::new());
    let manager = manager.expect("a socket");
    let (redis, nats) = ("redis://127.0.0.1:1", "nats://127.0.0.1:1");
    let (file, _) = settings(folder.path(), redis, nats, "degraded");
    let mut child = start(&file, &manager, &[]);
    manager.hears("READY=1", WITHIN).await.unwrap();
    let says_why = || async {
        let told = manager.told();
        told.iter()
            .any(|line| line.starts_with("STATUS=connecting to Redis: 127.0.0.1:1"))
    };
    until(WITHIN, "it says what is away", says_why)
        .await
        .unwrap();
    assert!(!manager.heard("WATCHDOG=1"), "nobody waits for it");
    signal(&child, "TERM").await;
    assert_eq!(child.wait().await.expect("it ended").code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watchdog_of_another_process_is_left_alone_and_a_name_in_no_folder_is_reached() {
    let (folder, manager) = (TempDir::new().expect("a folder"), FakeManager::new());
    let manager = manager.expect("a socket");
    let (redis, nats) = ("redis://127.0.0.1:1", "nats://127.0.0.1:1");
    let (file, _) = settings(folder.path(), redis, nats, "degraded");
    let variables = [("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "1")];
    let child = start(&file, &manager, &variables);
    manager.hears("READY=1", WITHIN).await.unwrap();
    let said = || async {
        manager
            .told()
            .iter()
            .any(|it| it.starts_with("STATUS=conn"))
    };
    until(WITHIN, "some time passes", said).await.unwrap();
    assert!(!manager.heard("WATCHDOG=1"));
    drop(child);

    let name = format!("cacheaside-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let socket = UnixDatagram::bind_addr(&address).expect("a socket");
    socket.set_nonblocking(true).expect("a socket");
    let socket = tokio::net::UnixDatagram::from_std(socket).expect("a socket");
    let (file, _) = settings(folder.path(), redis, nats, "degraded");
    let mut command = agent(&["serve", "--config", &file]);
    let command = command.env("NOTIFY_SOCKET", format!("@{name}"));
    let _child = command.stderr(Stdio::null()).spawn().expect("it runs");
    let mut told = [0; 64];
    let length = timeout(WITHIN, socket.recv(&mut told)).await;
    let length = length.expect("it is told").expect("a message");
    assert_eq!(&told[..length], b"READY=1");
}
