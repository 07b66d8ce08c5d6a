//! An invalidator in memory: a stream that can be looked into, an L2 with shards
//! that go away, a bus that breaks, and a list of dead letters.

use crate::stream::Stream;
use async_trait::async_trait;
use bytes::Bytes;
use cache_core::Error;
use cache_core::bus::memory::MemoryBus;
use cache_core::bus::{Bus, BusError, Subscription};
use cache_core::coherence::announce::Announcer;
use cache_core::coherence::voice::Voice;
use cache_core::config::reader;
use cache_core::event::Silent;
use cache_core::guard::horizon::Horizon;
use cache_core::model::key::{Address, Bucket, Key, KeySpace, Name};
use cache_core::model::tag::Tag;
use cache_core::testkit::clock::HandClock;
use cache_core::tier::memory::MemoryRemote;
use cache_core::tier::{
    Applied, Beat, Beaten, Filled, Invalidate, Leased, Offer, Reading, Record, Remote, RemoteError,
    Seen, Token, Touch, Write, Written,
};
use invalidator::dead_letter::{DeadLetters, Letter, LetterLost};
use invalidator::inspect::sampler::Sampler;
use invalidator::metrics::Metrics;
use invalidator::outbox::Outbox;
use invalidator::pipeline::{Pipeline, PipelineSettings};
use invalidator::rules::Rules;
use invalidator::settings::Repeat;
use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The rules of all these tests.
pub(crate) const RULES: &str = "[[rule]]\ntable = 'public.users'\ncache = 'users'\n\
    keys = ['user:{id}']\n[native]\ncaches = ['sessions']\n";

/// What happened, in order: `apply 3`, `publish`, `letter 3`, `ack 3`, `back 3`.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// Everything around one pipeline.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) stream: Stream,
    pub(crate) remote: Arc<ShakyRemote>,
    pub(crate) bus: Arc<ShakyBus>,
    pub(crate) letters: Arc<Letters>,
    pub(crate) log: Log,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) settings: PipelineSettings,
    pub(crate) sampler: Option<Sampler>,
    metrics: Arc<Metrics>,
    registry: Arc<Registry>,
}

/// A pipeline that runs.
pub(crate) struct Running {
    pub(crate) stop: CancellationToken,
    pub(crate) give_up: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), Error>>,
}

impl World {
    pub(crate) fn new() -> Self {
        let log = Log::default();
        let clock = Arc::new(HandClock::new());
        let mut registry = Registry::default();
        let metrics = Arc::new(Metrics::new(&mut registry, "CDC"));
        Self {
            metrics,
            registry: Arc::new(registry),
            stream: Stream::new(log.clone()),
            remote: Arc::new(ShakyRemote {
                inner: MemoryRemote::new(clock.clone()),
                down: Mutex::default(),
                log: log.clone(),
            }),
            bus: Arc::new(ShakyBus {
                inner: MemoryBus::new(),
                broken: AtomicBool::new(false),
                log: log.clone(),
            }),
            letters: Arc::new(Letters {
                written: Mutex::default(),
                broken: AtomicBool::new(false),
                log: log.clone(),
            }),
            log,
            clock,
            sampler: None,
            settings: PipelineSettings {
                epoch: 0,
                batch: 16,
                in_flight_max: 64,
                ack_wait: Duration::from_secs(5),
                attempts_max: 5,
                repeat: Repeat::NEVER,
                drain: Duration::from_secs(5),
            },
        }
    }

    /// One more invalidator of this world.
    pub(crate) fn start(&self) -> Running {
        let rules = reader::read("rules.toml", RULES, Rules::parse).expect("good rules");
        let domain = Name::new("main").expect("a name");
        let voice = Arc::new(Voice::new(self.bus.clone(), 7));
        let announcer = Announcer::new(
            domain,
            self.remote.clone(),
            voice,
            Arc::new(Horizon::new()),
            Arc::new(Silent),
        );
        let outbox = Outbox {
            announcer: Arc::new(announcer),
            letters: self.letters.clone(),
            metrics: self.metrics.clone(),
            sampler: self.sampler.clone(),
            clock: self.clock.clone(),
        };
        let stop = CancellationToken::new();
        let pipeline = Pipeline::new(rules, outbox, self.settings);
        let deliveries = Box::new(self.stream.clone());
        Running {
            give_up: pipeline.give_up(),
            task: tokio::spawn(pipeline.run(deliveries, stop.clone())),
            stop,
        }
    }

    /// The floor of a user's key in L2; `None` if nothing was ever applied to it.
    pub(crate) async fn floor(&self, key: &str) -> Option<u64> {
        self.floor_at(&users().address(Key::new(key.as_bytes()).expect("a key")))
            .await
    }

    /// The floor of the tag that every entry of a cache has.
    pub(crate) async fn cleared(&self, cache: &str) -> Option<u64> {
        let space = KeySpace::new(name("main"), name(cache));
        self.floor_at(&space.tag_address(&Tag::all())).await
    }

    async fn floor_at(&self, address: &Address) -> Option<u64> {
        match self
            .remote
            .inner
            .read(address)
            .await
            .expect("memory")
            .record
        {
            Some(Record::Mark { floor }) => Some(floor.offset),
            _ => None,
        }
    }

    /// How many announced invalidations are not looked at again.
    pub(crate) fn not_sampled(&self) -> u64 {
        const SERIES: &str = "cacheaside_invalidator_inspector_not_sampled_total ";
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("it can be written");
        let value = text.lines().find_map(|line| line.strip_prefix(SERIES));
        value.expect("the series").parse().expect("a number")
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }
}

impl Running {
    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic").expect("no error");
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub(crate) fn users() -> KeySpace {
    KeySpace::new(name("main"), name("users"))
}

pub(crate) fn bucket_of(key: &str) -> Bucket {
    users()
        .hash(Key::new(key.as_bytes()).expect("a key"))
        .bucket()
}

/// The event of an update of one user.
pub(crate) fn update(id: u64) -> String {
    format!(
        r#"{{"op": "u", "before": null, "after": {{"id": {id}}},
            "source": {{"db": "shop", "schema": "public", "table": "users"}}}}"#
    )
}

/// Waits for a condition under any clock: real, or paused and then advanced.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl FnMut() -> F) {
    let waited = cache_core::testkit::until::until(Duration::from_secs(20), what, condition).await;
    waited.expect("it comes true");
}

/// L2 in memory, of which some buckets may be away.
#[derive(Debug)]
pub(crate) struct ShakyRemote {
    inner: MemoryRemote,
    down: Mutex<HashSet<u8>>,
    log: Log,
}

impl ShakyRemote {
    pub(crate) fn lose(&self, buckets: impl IntoIterator<Item = Bucket>) {
        self.down
            .lock()
            .extend(buckets.into_iter().map(|bucket| bucket.0));
    }

    pub(crate) fn recover(&self) {
        self.down.lock().clear();
    }
}

#[async_trait]
impl Remote for ShakyRemote {
    async fn read(&self, address: &Address) -> Result<Reading, RemoteError> {
        if self.down.lock().contains(&address.bucket.0) {
            return Err(RemoteError::Timeout);
        }
        self.inner.read(address).await
    }

    async fn lease(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
        seen: Seen,
    ) -> Result<Leased, RemoteError> {
        self.inner.lease(address, token, span, seen).await
    }

    async fn fill(&self, address: &Address, offer: Offer) -> Result<Filled, RemoteError> {
        self.inner.fill(address, offer).await
    }

    async fn touch(&self, address: &Address, touch: Touch) -> Result<bool, RemoteError> {
        self.inner.touch(address, touch).await
    }

    async fn release(&self, address: &Address, token: Token) -> Result<(), RemoteError> {
        self.inner.release(address, token).await
    }

    async fn quarantine(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
    ) -> Result<bool, RemoteError> {
        self.inner.quarantine(address, token, span).await
    }

    async fn write(&self, address: &Address, write: Write) -> Result<Written, RemoteError> {
        self.inner.write(address, write).await
    }

    async fn apply(&self, batch: Vec<Invalidate>) -> Vec<Result<Applied, RemoteError>> {
        let mut answers = Vec::with_capacity(batch.len());
        for one in batch {
            if self.down.lock().contains(&one.address.bucket.0) {
                answers.push(Err(RemoteError::Timeout));
                continue;
            }
            let offset = one.position.unwrap_or_default().offset;
            self.log.lock().push(format!("apply {offset}"));
            answers.extend(self.inner.apply(vec![one]).await);
        }
        answers
    }

    async fn beat(&self, batch: Vec<Beat>) -> Vec<Result<Beaten, RemoteError>> {
        self.inner.beat(batch).await
    }

    async fn agree(&self, terms: &[u8]) -> Result<Bytes, RemoteError> {
        self.inner.agree(terms).await
    }
}

/// A bus in memory that may be away.
pub(crate) struct ShakyBus {
    inner: MemoryBus,
    pub(crate) broken: AtomicBool,
    log: Log,
}

#[async_trait]
impl Bus for ShakyBus {
    async fn publish(&self, message: Bytes) -> Result<(), BusError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(BusError("cut by the test".to_owned()));
        }
        self.log.lock().push("publish".to_owned());
        self.inner.publish(message).await
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>, BusError> {
        self.inner.subscribe().await
    }
}

impl fmt::Debug for ShakyBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShakyBus")
    }
}

/// Dead letters in memory.
#[derive(Debug)]
pub(crate) struct Letters {
    pub(crate) written: Mutex<Vec<Letter>>,
    pub(crate) broken: AtomicBool,
    log: Log,
}

#[async_trait]
impl DeadLetters for Letters {
    async fn write(&self, letter: &Letter) -> Result<(), LetterLost> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(LetterLost("cut by the test".to_owned()));
        }
        self.log.lock().push(format!("letter {}", letter.sequence));
        self.written.lock().push(letter.clone());
        Ok(())
    }
}
