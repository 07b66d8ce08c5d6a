//! Writes behind, while the processes that write and the server that keeps the queue are
//! killed without a word: every write that was acknowledged reaches Postgres, in the order
//! of its key, and none twice.
//!
//! ```text
//! 2 members ─▶ NATS JetStream ─▶ whichever of them leads ─▶ Postgres
//! ```
//!
//! In a test run, some thousands of writes; a million of them:
//!
//! ```text
//! deploy/behind --writes 1000000
//! ```

mod book;
mod member;
mod table;

use crate::process::Process;
use crate::{ALONE, rows};
use book::{Book, MEMBERS};
use cache_core::queue::Queue;
use cache_core::queue::nats::NatsQueue;
use cache_core::random::{Random, SystemRandom};
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::postgres::PostgresServer;
use cache_core::testkit::until::{pace, until};
use cache_core::{Name, clock::SystemClock};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The acknowledged writes of a test run.
const WRITES: u64 = 20_000;
/// How long the rest may take when nobody writes and nothing is killed any more: a dead
/// leader is waited for, and then all of it is written.
const DRAINED_WITHIN: Duration = Duration::from_secs(120);
/// The longest time between two blows.
const PEACE_MAX: Duration = Duration::from_secs(4);

pub(crate) use member::be;

/// What is killed, and how often it was.
#[derive(Debug, Default)]
struct Blows {
    members: u32,
    nats: u32,
}

struct Field {
    nats: NatsServer,
    postgres: PostgresServer,
    folder: tempfile::TempDir,
    members: Vec<Process>,
    lives: u64,
}

impl Field {
    async fn new() -> Self {
        let (nats, postgres) = tokio::join!(NatsServer::start(), PostgresServer::start());
        let postgres = postgres.expect("Postgres starts");
        table::create(&rows::connect(&postgres.connect_string()).await).await;
        let mut field = Self {
            nats: nats.expect("nats-server starts"),
            postgres,
            folder: tempfile::tempdir().expect("a folder"),
            members: Vec::new(),
            lives: 0,
        };
        for seat in 0..MEMBERS {
            let member = field.member(seat).await;
            field.members.push(member);
        }
        field
    }

    /// A member in its next life.
    async fn member(&mut self, seat: usize) -> Process {
        self.lives += 1;
        let places = [
            self.nats.url(),
            self.postgres.connect_string(),
            self.folder.path().display().to_string(),
        ];
        let role = format!("behind|{seat}|{}|{}", self.lives, places.join("|"));
        Process::start(role).await
    }

    async fn strike(&mut self, random: &mut StdRng, blows: &mut Blows) {
        pace(random.random_range(Duration::ZERO..PEACE_MAX)).await;
        if random.random_bool(0.5) {
            blows.nats += 1;
            self.nats.kill9();
            pace(random.random_range(Duration::ZERO..PEACE_MAX / 4)).await;
            self.nats.restart().await.expect("NATS starts again");
        } else {
            blows.members += 1;
            let seat = random.random_range(0..MEMBERS);
            let heir = self.member(seat).await;
            std::mem::replace(&mut self.members[seat], heir).end().await;
        }
    }

    async fn queue(&self) -> NatsQueue {
        let cache = Name::new(member::CACHE).expect("a name");
        let domain = Name::new(member::DOMAIN).expect("a name");
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        let settings = member::queue(&self.nats.url());
        let queue = NatsQueue::open(&settings, &domain, &cache, clock, random).await;
        queue.expect("NATS is up")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_acknowledged_write_is_lost_nor_out_of_order_nor_twice() {
    let _alone = ALONE.lock().await;
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let wanted = number("BEHIND_WRITES").unwrap_or(WRITES);
    let seed = number("BEHIND_SEED").unwrap_or_else(|| SystemRandom.next());
    println!("BEHIND_SEED={seed}, {wanted} acknowledged writes");
    let mut random = StdRng::seed_from_u64(seed);
    let mut field = Field::new().await;
    let mut blows = Blows::default();
    while Book::read(field.folder.path()).acknowledged() < wanted || !blows.are_enough() {
        field.strike(&mut random, &mut blows).await;
    }
    for member in &mut field.members {
        member.tell("stop\n").await;
        assert_eq!(member.says().await, "stopped");
    }
    let queue = field.queue().await;
    let is_empty = async || matches!(queue.backlog().await, Ok(backlog) if backlog.waiting == 0);
    until(DRAINED_WITHIN, "the source has all", is_empty)
        .await
        .expect("it is drained");
    judge(&field.postgres, field.folder.path(), &blows).await;
    for member in field.members {
        member.end().await;
    }
}

impl Blows {
    fn are_enough(&self) -> bool {
        self.members >= 2 && self.nats >= 2
    }
}

async fn judge(postgres: &PostgresServer, folder: &Path, blows: &Blows) {
    let book = Book::read(folder);
    let client = rows::connect(&postgres.connect_string()).await;
    let rows = table::rows(&client).await;
    let history = table::history(&client).await;
    let lost = book.lost(&rows);
    assert!(lost.is_empty(), "lost: {lost:?}");
    let disorder = book::disorder(&history);
    assert!(disorder.is_empty(), "out of order or twice: {disorder:?}");
    let statements = table::statements(&client).await;
    let acknowledged = book.acknowledged();
    println!(
        "{acknowledged} acknowledged writes, {} in doubt; {} kills of members, {} of NATS\n\
         {} rows written in {statements} statements: {:.0} writes a statement\n\
         none lost, none out of order, none twice",
        book.in_doubt(),
        blows.members,
        blows.nats,
        history.len(),
        acknowledged as f64 / statements as f64,
    );
    assert!(statements < acknowledged);
    assert!(history.len() as u64 <= book.acknowledged() + book.in_doubt());
}
