//! The processes of the test: as they run, and as their parent sees them.

use crate::judge::Judge;
use crate::reader::{Places, Reader};
use crate::{ROLE, TEST};
use cache_agent::app::App;
use cache_agent::config::{Drain, Limits};
use cache_agent::listen::{self, Doors, UnixDoor};
use cache_core::Policy;
use cache_core::clock::SystemClock;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What a process's lines to its parent begin with.
pub(crate) const MARK: &str = "process says ";
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs as one of the processes: `library|bound|places`,
/// `caller|socket|bound|places`, `agent|socket|places`, or one under chaos.
pub(crate) async fn be(role: &str) {
    let (kind, rest) = role.split_once('|').expect("a role");
    match kind {
        "library" => {
            let (bound, places) = rest.split_once('|').expect("a bound and places");
            read(Reader::library(&Places::unpack(places)).await, bound).await;
        }
        "caller" => {
            let mut parts = rest.splitn(3, '|');
            let mut next = || parts.next().expect("a socket, a bound and places");
            let (socket, bound, places) = (next(), next(), next());
            let postgres = Places::unpack(places).postgres;
            read(Reader::agent(socket, "agent", &postgres).await, bound).await;
        }
        "agent" => {
            let (socket, places) = rest.split_once('|').expect("a socket and places");
            serve(socket, &Places::unpack(places)).await;
        }
        "behind" => crate::behind::be(rest).await,
        "chaos" => crate::chaos::be(rest).await,
        other => panic!("no role {other}"),
    }
}

async fn serve(socket: &str, places: &Places) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let doors = Doors {
        unix: Some(UnixDoor::bind(socket.as_ref()).await.expect("a socket")),
        tcp: None,
        resp: None,
        admin: listen::tcp(any).await.expect("a port"),
        scrape: None,
    };
    let policies = vec![Policy::new("agent").expect("a name")];
    let app = App::new(policies, Limits::default(), Arc::new(SystemClock::new())).await;
    app.join(&places.settings())
        .await
        .expect("the servers are up");
    println!("{MARK}ready");
    let drain = Drain {
        delay: Duration::ZERO,
        timeout: Duration::from_secs(1),
    };
    app.serve(doors, drain, CancellationToken::new())
        .await
        .expect("it serves");
}

async fn read(reader: Reader, bound: &str) {
    let bound = Duration::from_millis(bound.parse().expect("milliseconds"));
    let judge = Judge::new(bound);
    let mut readers = JoinSet::new();
    for first in 0..3 {
        readers.spawn(judge.clone().read(reader.clone(), first * 7));
    }
    println!("{MARK}ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let numbers: Vec<u64> = line.split(' ').filter_map(|n| n.parse().ok()).collect();
        let [commit, row, version, at_us] = numbers[..] else {
            break;
        };
        judge.committed(row as i64, version, at_us);
        let (judge, reader) = (judge.clone(), reader.clone());
        readers.spawn(async move {
            let lag = judge.watch(&reader, row as i64, version, at_us).await;
            println!("{MARK}lag {commit} {lag}");
        });
    }
    println!("{MARK}summary {}", judge.finish(readers).await);
}

/// What a process says, line by line.
pub(crate) type Words = Lines<BufReader<ChildStdout>>;

/// Starts this test once more, as the process of a role.
pub(crate) fn spawn(role: &str) -> (Child, ChildStdin, Words) {
    let mut child = Command::new(std::env::current_exe().expect("this test runs"))
        .args(["--exact", TEST, "--nocapture"])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("a process starts");
    let stdin = child.stdin.take().expect("it is piped");
    let stdout = child.stdout.take().expect("it is piped");
    (child, stdin, BufReader::new(stdout).lines())
}

/// The next thing that a process says to its parent.
pub(crate) async fn word(lines: &mut Words) -> Option<String> {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, word)) = line.split_once(MARK) {
            return Some(word.to_owned());
        }
    }
    None
}

/// One of the processes, from outside.
pub(crate) struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Words,
}

impl Process {
    pub(crate) async fn start(role: String) -> Self {
        let (child, stdin, lines) = spawn(&role);
        let mut process = Self {
            child,
            stdin,
            lines,
        };
        assert_eq!(process.says().await, "ready");
        process
    }

    pub(crate) async fn tell(&mut self, line: &str) {
        self.stdin
            .write_all(line.as_bytes())
            .await
            .expect("it listens");
    }

    /// The next thing it says.
    pub(crate) async fn says(&mut self) -> String {
        let said = tokio::time::timeout(PATIENCE, word(&mut self.lines)).await;
        said.expect("it says something").expect("it has not ended")
    }

    pub(crate) async fn end(mut self) {
        // It may have ended by itself.
        let _ = self.child.kill().await;
    }
}
