//! The program under more clients than anybody has: what the idle and the rude ones cost the
//! others, and what each costs in memory.

use crate::process::{agent, http, settings, try_http};
use crate::world::{Client, hit};
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::testkit::until::{pace, until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::Child;
use tokio::task::JoinSet;
use tokio::time::Instant;

const WITHIN: Duration = Duration::from_secs(60);
/// Half of them on each door.
const IDLE: usize = 10_000;
const BUSY: usize = 1_000;
/// How many files either side has open, with room for the other tests.
const FILES: u64 = 16_384;
/// How often each busy client asks in one round.
const ASKS: usize = 10;
/// Rounds of each kind; the median of them counts.
const ROUNDS: usize = 5;
/// What a client of HTTP/2 says first: the preface, and settings with nothing in them.
pub(crate) const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The most that an idle agent may take, in KiB.
const IDLE_KIB_MAX: u64 = 30 * 1024;
/// The most that one idle connection may, in KiB.
const CONNECTION_KIB_MAX: f64 = 32.0;

struct Bench {
    child: Child,
    socket: String,
    tcp: SocketAddr,
    resp: SocketAddr,
    folder: TempDir,
    _servers: (RedisServer, NatsServer),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

fn free() -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("its address")
}

impl Bench {
    async fn start() -> Self {
        let servers = tokio::join!(RedisServer::start(), NatsServer::start());
        let (redis, nats) = (servers.0.expect("a Redis"), servers.1.expect("a NATS"));
        let folder = TempDir::new().expect("a folder");
        let (file, admin) = settings(folder.path(), &redis.url(), &nats.url(), "refuse");
        let (tcp, resp) = (free(), free());
        let more = format!(
            "[listen]\ntcp = '{tcp}'\nresp = '{resp}'\nconnections_max = 12000\n\
             requests_max = 4096\ndeadline = '20s'\n"
        );
        let text = fs::read_to_string(&file).expect("the file");
        fs::write(&file, text.replace("[listen]\n", &more)).expect("the file");
        let child = agent(&["serve", "--config", &file])
            .stderr(Stdio::null())
            .spawn()
            .expect("the program runs");
        let ready = || async {
            try_http(admin, "/live").await.is_some() && http(admin, "/ready").await.0 == 200
        };
        until(WITHIN, "the agent is ready", ready)
            .await
            .expect("it is");
        Self {
            child,
            socket: format!("unix://{}/agent.sock", folder.path().display()),
            tcp,
            resp,
            folder,
            _servers: (redis, nats),
        }
    }

    /// What the process has in memory, in KiB.
    fn resident(&self) -> u64 {
        let id = self.child.id().expect("it runs");
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        number.expect("a number")
    }

    /// Clients that have said hello and are silent from then on.
    async fn idle(&self, count: usize) -> Vec<Box<dyn Stream>> {
        let path = self.folder.path().join("agent.sock");
        let mut all: Vec<Box<dyn Stream>> = Vec::with_capacity(count);
        for at in 0..count {
            let mut stream: Box<dyn Stream> = match at % 2 {
                0 => Box::new(UnixStream::connect(&path).await.expect("it listens")),
                _ => Box::new(TcpStream::connect(self.tcp).await.expect("it listens")),
            };
            stream.write_all(HELLO).await.expect("it is there");
            // Its settings: the connection stands.
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.expect("it is served");
            all.push(stream);
        }
        all
    }

    /// One that asks for much and reads nothing, and two that send a byte a second.
    async fn rude(&self, all: &mut JoinSet<()>) {
        let mut deaf = TcpStream::connect(self.resp).await.expect("it listens");
        all.spawn(async move {
            let ask = b"GET users:user:1\r\n".repeat(1_000);
            while deaf.write_all(&ask).await.is_ok() {}
        });
        let tcp: Box<dyn Stream> = Box::new(TcpStream::connect(self.tcp).await.expect("a port"));
        let path = self.folder.path().join("agent.sock");
        let unix: Box<dyn Stream> = Box::new(UnixStream::connect(path).await.expect("a socket"));
        for mut slow in [tcp, unix] {
            all.spawn(async move {
                for byte in HELLO {
                    if slow.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    pace(Duration::from_secs(1)).await;
                }
            });
        }
    }

    async fn busy(&self) -> Vec<Client> {
        let tcp = format!("http://{}", self.tcp);
        let mut all = Vec::with_capacity(BUSY);
        for at in 0..BUSY {
            let address = if at % 2 == 0 { &self.socket } else { &tcp };
            all.push(Client::connect(address).await);
        }
        all
    }
}

/// Lets this process, and those that it starts, have as many files as the system grants.
fn many_files() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    assert!(
        most >= FILES,
        "{most} files are too few: `ulimit -Hn {FILES}`"
    );
    let current = Some(most.min(FILES).max(limit.current.unwrap_or(0)));
    let raised = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    raised.expect("up to the hard limit anybody may");
}

/// Has every client ask so often; the time that 99 % of the answers took at most.
async fn p99(clients: &[Client]) -> Duration {
    let mut asking = JoinSet::new();
    for client in clients {
        let client = client.clone();
        asking.spawn(async move {
            let mut took = Vec::with_capacity(ASKS);
            for _ in 0..ASKS {
                let began = Instant::now();
                assert_eq!(client.get("user:1").await, hit("Ada"));
                took.push(began.elapsed());
            }
            took
        });
    }
    let mut took: Vec<_> = asking.join_all().await.into_iter().flatten().collect();
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_and_rude_clients_cost_the_others_little_and_memory_within_bounds() {
    many_files();
    let bench = Bench::start().await;
    let first = Client::connect(&bench.socket).await;
    first.store("user:1", "Ada").await;
    assert_eq!(first.get("user:1").await, hit("Ada"));
    let empty = bench.resident();
    let idle = bench.idle(IDLE).await;
    let full = bench.resident();
    drop(idle);
    let each = full.saturating_sub(empty) as f64 / IDLE as f64;
    println!("idle: {empty} KiB; with {IDLE} connections: {full} KiB, {each:.1} KiB for each");
    assert!(empty <= IDLE_KIB_MAX, "{empty} KiB");
    assert!(each <= CONNECTION_KIB_MAX, "{each} KiB");

    let clients = bench.busy().await;
    p99(&clients).await;
    let (mut alone, mut among) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(p99(&clients).await);
        let idle = bench.idle(IDLE).await;
        let mut rude = JoinSet::new();
        bench.rude(&mut rude).await;
        among.push(p99(&clients).await);
        drop(idle);
    }
    println!("p99 of {BUSY} busy clients: alone {alone:?}, among the others {among:?}");
    let (alone, among) = (median(alone), median(among));
    // Below the floor nobody is kept waiting, whatever the ratio.
    let most = (alone * 2).max(Duration::from_millis(50));
    assert!(among <= most, "{among:?} in place of {alone:?}");
    assert_eq!(first.get("user:1").await, hit("Ada"));
}
