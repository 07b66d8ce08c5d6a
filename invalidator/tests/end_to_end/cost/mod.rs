//! What the guards cost: the same traffic through a bare cache of two tiers and through
//! the shipping one, turn by turn in one run, so that a noisy machine is noisy to all.
//!
//! ```text
//! deploy/cost --seconds 10
//! ```

mod bare;
mod side;

use crate::ALONE;
use crate::service::Service;
use crate::world::World;
use bare::Bare;
use cache_core::random::{Random, SystemRandom};
use cache_core::testkit::until::pace;
use side::{Reader, Reads, Side};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// The keys that are read and changed: nearly as many as the fence has generations.
const KEYS: u64 = 50_000;
/// The readers, so many that one which waits for L2 leaves the processor to others.
const READERS: usize = 16;
/// Reads between two looks at the clock.
const READS_AT_ONCE: u64 = 32;
/// The changes in a second.
const CHANGES: u32 = 500;
/// How long the source takes.
const LOAD: Duration = Duration::from_millis(1);
/// How often each side has its turn, where times are compared.
const ROUNDS: usize = 3;
/// The share of its hits in L1 that the guards may cost.
const HITS_LOST_MAX: f64 = 0.02;

const RULES: &str = "[source]\nstream = 'CDC'\ndurable = 'invalidator'\n\
    create_stream = true\nsubjects = ['cdc.>']\nack_wait = '2s'\n[native]\ncaches = ['rows']\n";

/// Of a uniform share, a key: a tenth of the keys gets more than half of the reads.
fn skewed(share: f64) -> u64 {
    (KEYS as f64 * share.powi(4)) as u64
}

/// What all sides share.
struct Ground {
    world: World,
    folder: TempDir,
    loads: Arc<AtomicU64>,
}

impl Ground {
    async fn new() -> Self {
        let ground = Self {
            world: World::start(0).await,
            folder: tempfile::tempdir().expect("a folder"),
            loads: Arc::default(),
        };
        // Makes the stream.
        ground.serve(0).await.kill().await;
        ground
    }

    async fn serve(&self, inspected: u32) -> Service {
        let inspector = format!("[inspector]\nrate = {inspected}\n");
        let folder = self.folder.path();
        Service::start(folder, 0, &self.world.places(), RULES, &inspector).await
    }

    /// One turn: every key once, to become warm, and then a time that counts.
    async fn turn(&self, side: &Side, span: Duration) -> Reads {
        let places = self.world.places();
        let (reader, service) = match side {
            Side::Bare => {
                let bare = Bare::connect(&places).await;
                (Reader::Bare(bare), None)
            }
            Side::Guarded { inspected, shadow } => {
                let service = self.serve(*inspected).await;
                let reader = Reader::guarded(&places, *shadow, self.loads.clone()).await;
                (reader, Some(service))
            }
        };
        self.warm(&reader).await;
        let changing = self.change();
        tokio::pin!(changing);
        let reads = async {
            let before = self.loads.load(Ordering::Relaxed);
            let mut reads = self.read(&reader, span).await;
            reads.loads = self.loads.load(Ordering::Relaxed) - before;
            reads
        };
        let reads = tokio::select! {
            reads = reads => reads,
            () = &mut changing => unreachable!("it goes on for ever"),
        };
        reader.leave().await;
        if let Some(service) = service {
            service.kill().await;
        }
        reads
    }

    /// Reads every key once.
    async fn warm(&self, reader: &Reader) {
        let mut readers = JoinSet::new();
        for first in 0..READERS as u64 {
            let (reader, loads) = (reader.clone(), self.loads.clone());
            readers.spawn(async move {
                for key in (first..KEYS).step_by(READERS) {
                    reader.read(key, &loads).await;
                }
            });
        }
        readers.join_all().await;
    }

    /// Reads for a while, as fast as it goes.
    async fn read(&self, reader: &Reader, span: Duration) -> Reads {
        let began = Instant::now();
        let end = began + span;
        let mut readers = JoinSet::new();
        for _ in 0..READERS {
            let (reader, loads) = (reader.clone(), self.loads.clone());
            readers.spawn(async move {
                let (random, mut reads) = (SystemRandom, Reads::default());
                let random: &dyn Random = &random;
                while Instant::now() < end {
                    for _ in 0..READS_AT_ONCE {
                        reads.count(reader.read(skewed(random.share()), &loads).await);
                    }
                    tokio::task::yield_now().await;
                }
                reads
            });
        }
        let all = readers.join_all().await;
        let mut sum = all.iter().fold(Reads::default(), Reads::plus);
        sum.seconds = began.elapsed().as_secs_f64();
        sum
    }

    /// Changes keys, any as likely as any other, until it is dropped.
    async fn change(&self) {
        let random: &dyn Random = &SystemRandom;
        let mut tick = interval(Duration::from_secs(1) / CHANGES);
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            tick.tick().await;
            let key = (random.share() * KEYS as f64) as u64;
            let event = format!(r#"{{"cacheaside":1,"cache":"rows","keys":["{key}"]}}"#);
            self.world.publish(&event).await;
        }
    }
}

async fn load(loads: &AtomicU64) -> u64 {
    loads.fetch_add(1, Ordering::Relaxed);
    pace(LOAD).await;
    7
}

/// How many rounds, and how long a turn is: in a test run only the hits are compared.
fn course() -> (usize, Duration) {
    let text = std::env::var("COST_SECONDS").ok();
    let seconds = text.map(|text| text.parse().expect("a number of seconds"));
    match seconds {
        Some(seconds) => (ROUNDS, Duration::from_secs(seconds)),
        None => (1, Duration::from_secs(1)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guards_cost_no_hits() {
    let _alone = ALONE.lock().await;
    let ground = Ground::new().await;
    let mut sums = [Reads::default(); side::SIDES.len()];
    let (rounds, span) = course();
    for round in 0..rounds {
        for place in 0..sums.len() {
            // Whoever comes first finds the machine otherwise than who comes last.
            let at = (round + place) % sums.len();
            let (_, side) = &side::SIDES[at];
            sums[at] = sums[at].plus(&ground.turn(side, span).await);
        }
    }
    let [bare, ..] = sums;
    for ((name, _), reads) in side::SIDES.iter().zip(&sums) {
        println!("{name:>24}: {}", reads.line(&bare));
    }
    for ((name, side), reads) in side::SIDES.iter().zip(&sums) {
        let lost = bare.share_of_l1() - reads.share_of_l1();
        assert!(lost < HITS_LOST_MAX, "{name}: {lost:.4} of the hits lost");
        let most = reads.missed() + side.compared_at_most(reads);
        assert!(
            reads.loads <= most,
            "{name}: {} loads, not {most}",
            reads.loads
        );
    }
}
