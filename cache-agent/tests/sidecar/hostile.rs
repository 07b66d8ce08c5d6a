//! Hostile clients of gRPC at the door of a real agent: whatever comes, it lives, keeps no
//! memory of it, and serves the next good one. `GRPC_FRAMES=1000000 SEED=1` sends more.

use crate::serving::{PATIENCE, Serving};
use crate::spoilt::Attack;
use crate::world::{Got, hit};
use cache_core::clock::{Clock, SystemClock};
use cache_core::testkit::until::until;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

/// The spoilt frames of a usual run.
const FRAMES: u64 = 20_000;
/// After each of so many parts its memory is looked at.
const PARTS: u64 = 10;
/// What it takes up by being used at all, in the parts up to this one, is no growth.
const WARM_UP: usize = 1;
/// How many clients attack at once.
const CLIENTS: u64 = 32;
/// How long an attack waits for an answer that may never come: a frame that lies about its
/// length makes the agent wait for the rest.
const SILENCE: Duration = Duration::from_millis(300);
/// How far its memory may grow after that, in KiB: what an allocator keeps differs from run to
/// run.
const GROWTH_MAX: u64 = 64 * 1024;

const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 0x1;

/// How attacks ended.
#[derive(Debug, Default)]
struct Ended {
    spoilt: u64,
    /// The good call at the end was answered, or reset.
    answered: u64,
    /// The connection was ended with a reason.
    told: u64,
    /// It was closed.
    closed: u64,
    /// The agent waits for more.
    silent: u64,
}

impl Ended {
    fn add(&mut self, other: &Self) {
        self.spoilt += other.spoilt;
        self.answered += other.answered;
        self.told += other.told;
        self.closed += other.closed;
        self.silent += other.silent;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_frame_of_grpc_harms_the_agent() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>());
    let number = |name| number(name).map(|parsed| parsed.expect("a whole number"));
    let frames = number("GRPC_FRAMES").unwrap_or(FRAMES);
    let seed = number("SEED").unwrap_or(1);
    let agent = Serving::start_with("l1_bytes = '16MiB'\nvalue_bytes_max = '64KiB'\n").await;
    let clock = SystemClock::new();
    let began = clock.now();
    let (mut ended, mut resident) = (Ended::default(), Vec::new());
    for part in 0..PARTS {
        let seed = seed.wrapping_add(part * CLIENTS);
        ended.add(&attacked(&agent, frames / PARTS, seed).await);
        resident.push(resident_kib(&agent));
    }
    println!(
        "SEED={seed}: {ended:?} in {:.1?}; resident KiB after each tenth: {resident:?}",
        clock.now().since(began)
    );
    let (before, after) = (resident[WARM_UP], resident[PARTS as usize - 1]);
    assert!(ended.answered > 0 && ended.told > 0, "{ended:?}");
    assert!(after < before + GROWTH_MAX, "from {before} to {after} KiB");
    let gone = async || agent.counted("cacheaside_streams_open").await == 0;
    let gone = until(PATIENCE, "its streams have ended", gone).await;
    gone.expect("they do with their connections");
    let defects = r#"cacheaside_exchange_calls_total{grpc_method="Get",reason="INTERNAL"}"#;
    assert_eq!(agent.counted(defects).await, 0);
    let log = std::fs::read_to_string(agent.log()).expect("its log");
    assert!(!log.contains("panicked"), "{log}");
    serves_a_good_client(&agent).await;
}

async fn serves_a_good_client(agent: &Serving) {
    let client = agent.client().await;
    assert!(matches!(client.get("good").await, Got::Lease(_)));
    client.invalidate_key("good").await;
    client.store("good", "value").await;
    assert_eq!(client.get("good").await, hit("value"));
}

/// Sends so many spoilt frames.
async fn attacked(agent: &Serving, frames: u64, seed: u64) -> Ended {
    let socket = agent.folder.path().join("agent.sock");
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let mut dice = SmallRng::seed_from_u64(seed.wrapping_add(client));
        let socket = socket.clone();
        clients.spawn(async move {
            let mut ended = Ended::default();
            while ended.spoilt < frames / CLIENTS {
                attack(&socket, &Attack::new(&mut dice), &mut ended).await;
            }
            ended
        });
    }
    let mut ended = Ended::default();
    while let Some(one) = clients.join_next().await {
        ended.add(&one.expect("no panic"));
    }
    ended
}

async fn attack(socket: &Path, attack: &Attack, ended: &mut Ended) {
    let stream = UnixStream::connect(socket).await.expect("it listens");
    let (mut answers, mut calls) = stream.into_split();
    ended.spoilt += attack.spoilt;
    let exchange = async {
        // The agent may close it before all is written.
        let writing = async {
            let _ = calls.write_all(&attack.bytes).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = writing => unreachable!("it pends"),
            end = end_of(&mut answers, attack.last) => end,
        }
    };
    match tokio::time::timeout(SILENCE, exchange).await {
        Ok(Some(GOAWAY)) => ended.told += 1,
        Ok(Some(_)) => ended.answered += 1,
        Ok(None) => ended.closed += 1,
        Err(_) => ended.silent += 1,
    }
}

/// Reads frames to the end of this stream or of the connection, and tells the last one's kind.
async fn end_of(answers: &mut (impl AsyncReadExt + Unpin), last: u32) -> Option<u8> {
    loop {
        let mut head = [0; 9];
        answers.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        answers.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let ends = head[3] == RST_STREAM || head[4] & END_STREAM != 0;
        if head[3] == GOAWAY || (stream == last && ends) {
            return Some(head[3]);
        }
    }
}

fn resident_kib(agent: &Serving) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.id()));
    let status = status.expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.expect("a figure").parse().expect("a number")
}
