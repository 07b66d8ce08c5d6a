//! L2 at the end of a bad line: the shipping in-memory L2, behind requests that are
//! slow, lost, unanswered or late, on shards that die, hang and lose their writes.

use crate::control::Cell;
use crate::database::ROWS;
use crate::lifeline::Lifeline;
use crate::oracle::Oracle;
use crate::sky::Sky;
use crate::time::pause;
use async_trait::async_trait;
use bytes::Bytes;
use cache_core::clock::Clock;
use cache_core::model::key::{Address, Bucket};
use cache_core::model::position::Position;
use cache_core::tier::memory::{Image, MemoryRemote};
use cache_core::tier::{
    Applied, Beat, Beaten, Filled, Invalidate, Known, Leased, Offer, Reading, Record, Remote,
    RemoteError, Seen, Token, Touch, Write, Written,
};
use futures_util::FutureExt;
use futures_util::future::join_all;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The shards that buckets are spread over.
pub(crate) const SHARDS: usize = 3;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_millis(50);
/// How much later than its caller gave up a request may still be done, in
/// milliseconds.
const LATE_MILLIS: u64 = 400;

/// How a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shard {
    Up,
    Down,
    Hangs,
}

/// The floors that L2 has confirmed and not lost, by record.
type Floors = HashMap<Address, Position>;

/// The answers to a batch, in its order.
type Answers<T> = Vec<Result<T, RemoteError>>;

/// What L2 held at one moment, and had confirmed.
#[derive(Debug)]
pub(crate) struct Past {
    image: Image,
    floors: Floors,
    cells: [Cell; ROWS],
}

/// The one L2 of a run.
#[derive(Debug)]
pub(crate) struct L2 {
    inner: MemoryRemote,
    shards: Mutex<[Shard; SHARDS]>,
    /// How often each shard has failed over.
    failovers: Mutex<[u64; SHARDS]>,
    floors: Mutex<Floors>,
    /// What the negative controls keep instead of records.
    cells: Mutex<[Cell; ROWS]>,
    sky: Arc<Sky>,
    oracle: Arc<Oracle>,
}

/// One process's connection to it.
#[derive(Debug)]
pub(crate) struct Line {
    l2: Arc<L2>,
    life: Arc<Lifeline>,
    /// The failovers that this process has been asked about.
    noticed: Mutex<[u64; SHARDS]>,
}

impl L2 {
    pub(crate) fn new(clock: Arc<dyn Clock>, sky: Arc<Sky>, oracle: Arc<Oracle>) -> Self {
        Self {
            inner: MemoryRemote::new(clock),
            shards: Mutex::new([Shard::Up; SHARDS]),
            failovers: Mutex::default(),
            floors: Mutex::default(),
            cells: Mutex::default(),
            sky,
            oracle,
        }
    }

    /// Gives every bucket its watermark, as if it had been in use before.
    pub(crate) fn begin(&self) {
        let nothing = |bucket| Beat {
            bucket,
            seen: Position::ZERO,
            known: Known::NOTHING,
            doubted: false,
        };
        at_once(self.inner.beat(Bucket::all().map(nothing).collect()));
    }

    pub(crate) fn set(&self, shard: usize, state: Shard) {
        self.shards.lock()[shard] = state;
    }

    pub(crate) fn evict(&self, row: usize) {
        self.inner.evict(self.oracle.address(row));
        self.cells.lock()[row] = Cell::default();
    }

    /// What a lagging replica, or the last snapshot on disk, holds at this moment.
    pub(crate) fn past(&self) -> Past {
        Past {
            image: self.inner.image(),
            floors: self.floors.lock().clone(),
            cells: *self.cells.lock(),
        }
    }

    /// One shard fails over to that replica.
    pub(crate) fn fail_over(&self, shard: usize, past: &Past) {
        let lost = |bucket: Bucket| shard_of(bucket) == shard;
        self.inner
            .go_back_in(Bucket::all().filter(|bucket| lost(*bucket)), &past.image);
        let mut floors = self.floors.lock();
        floors.retain(|address, _| !lost(address.bucket));
        let before = past.floors.iter();
        floors.extend(
            before
                .filter(|(address, _)| lost(address.bucket))
                .map(|(address, floor)| (address.clone(), *floor)),
        );
        drop(floors);
        let mut cells = self.cells.lock();
        for row in (0..ROWS).filter(|row| lost(self.oracle.address(*row).bucket)) {
            cells[row] = past.cells[row];
        }
        self.failovers.lock()[shard] += 1;
        self.oracle.l2_lost_writes();
    }

    /// Everything restarts from that snapshot.
    pub(crate) fn restart(&self, past: Option<&Past>) {
        match past {
            Some(past) => self.inner.go_back_to(&past.image),
            None => self.inner.forget_all(),
        }
        *self.floors.lock() = past.map(|past| past.floors.clone()).unwrap_or_default();
        *self.cells.lock() = past.map(|past| past.cells).unwrap_or_default();
        self.oracle.l2_lost_writes();
    }

    /// Notes the floor that a record has been given.
    fn confirm(&self, address: &Address, position: Position) {
        let mut floors = self.floors.lock();
        let floor = floors.entry(address.clone()).or_default();
        *floor = position.max(*floor);
    }

    /// I1, looked at after every step.
    fn check(&self, address: &Address) {
        let Some(floor) = self.floors.lock().get(address).copied() else {
            return;
        };
        let reading = at_once(self.inner.read(address));
        if let Ok(Some(Record::Value { as_of, .. })) = reading.map(|reading| reading.record)
            && as_of < floor
        {
            let record = String::from_utf8_lossy(&address.record);
            self.oracle.violated(format!(
                "I1: L2 holds {record} as of {as_of} after {floor} was applied"
            ));
        }
    }

    fn apply(&self, batch: Vec<Invalidate>) -> Answers<Applied> {
        let asked = |one: &Invalidate| (one.address.clone(), one.position.is_none());
        let asked: Vec<_> = batch.iter().map(asked).collect();
        let answers = at_once(self.inner.apply(batch));
        for ((address, local), answer) in asked.iter().zip(&answers) {
            if let Ok(Applied::Done { position, .. }) = answer {
                self.confirm(address, *position);
                if *local {
                    self.oracle.placed(address, *position);
                }
                self.oracle
                    .say(|| format!("L2 applied {position} to {}", show(address)));
            }
            self.check(address);
        }
        answers
    }

    fn beat(&self, batch: Vec<Beat>) -> Answers<Beaten> {
        let is_looked_at = |beat: &&Beat| self.oracle.has_rows(beat.bucket);
        for beat in batch.iter().filter(is_looked_at) {
            let floors = self.floors.lock();
            self.oracle.told(beat.bucket, beat.seen, |address| {
                floors.get(address).copied().unwrap_or_default()
            });
        }
        let buckets: Vec<_> = batch.iter().map(|beat| beat.bucket).collect();
        let answers = at_once(self.inner.beat(batch));
        for (bucket, answer) in buckets.into_iter().zip(&answers) {
            if let Ok(Beaten::Raised(watermark)) = answer
                && self.oracle.has_rows(bucket)
            {
                self.oracle
                    .say(|| format!("L2 raised {bucket:?} to {}", watermark.floor));
            }
        }
        answers
    }
}

impl Line {
    pub(crate) fn new(l2: Arc<L2>, life: Arc<Lifeline>) -> Self {
        let noticed = Mutex::new(*l2.failovers.lock());
        Self { l2, life, noticed }
    }

    /// One request to one shard: `effect` happens there, perhaps late, perhaps not
    /// at all, and the caller may never know.
    async fn request<T: Send + 'static>(
        &self,
        shard: usize,
        effect: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RemoteError> {
        self.life.gate().await;
        let Sky { dice, weather, .. } = &*self.l2.sky;
        let timeout = || async {
            pause(PATIENCE).await;
            self.life.gate().await;
            Err(RemoteError::Timeout)
        };
        pause(dice.span(0..weather.l2_millis / 2 + 1)).await;
        let state = self.l2.shards.lock()[shard];
        let late = match state {
            Shard::Down => {
                self.life.gate().await;
                return Err(RemoteError::Down(format!("shard {shard}")));
            }
            Shard::Hangs if dice.chance(0.5) => return timeout().await,
            Shard::Hangs => true,
            Shard::Up if self.l2.sky.strikes(weather.l2_lost) => return timeout().await,
            Shard::Up => self.l2.sky.strikes(weather.l2_late),
        };
        if late {
            let after = PATIENCE + dice.span(1..LATE_MILLIS);
            tokio::spawn(async move {
                pause(after).await;
                effect();
            });
            return timeout().await;
        }
        let answer = effect();
        if self.l2.sky.strikes(weather.l2_unanswered) {
            return timeout().await;
        }
        pause(dice.span(0..weather.l2_millis / 2 + 1)).await;
        self.life.gate().await;
        Ok(answer)
    }

    /// One step of a negative control on what it keeps of a row.
    pub(crate) async fn cell<T: Send + 'static>(
        &self,
        row: usize,
        effect: impl FnOnce(&mut Cell) -> T + Send + 'static,
    ) -> Result<T, RemoteError> {
        let l2 = self.l2.clone();
        let shard = shard_of(l2.oracle.address(row).bucket);
        self.request(shard, move || effect(&mut l2.cells.lock()[row]))
            .await
    }

    async fn one<T: Send + 'static>(
        &self,
        address: &Address,
        effect: impl FnOnce(&L2, &Address) -> T + Send + 'static,
    ) -> Result<T, RemoteError> {
        let (l2, address) = (self.l2.clone(), address.clone());
        let shard = shard_of(address.bucket);
        let step = move || {
            let answer = effect(&l2, &address);
            l2.check(&address);
            answer
        };
        self.request(shard, step).await
    }

    /// A batch, taken apart by shard and put together again.
    async fn batch<I: Send + 'static, O: Send + 'static>(
        &self,
        batch: Vec<I>,
        bucket: fn(&I) -> Bucket,
        effect: fn(&L2, Vec<I>) -> Answers<O>,
    ) -> Answers<O> {
        let shards: Vec<_> = batch.iter().map(|one| shard_of(bucket(one))).collect();
        let mut parts: [Vec<I>; SHARDS] = Default::default();
        for (shard, one) in shards.iter().zip(batch) {
            parts[*shard].push(one);
        }
        let requests = parts
            .into_iter()
            .enumerate()
            .map(|(shard, part)| async move {
                let (count, l2) = (part.len(), self.l2.clone());
                if count == 0 {
                    return Vec::new();
                }
                let answers = self.request(shard, move || effect(&l2, part)).await;
                let failed = |error: RemoteError| (0..count).map(|_| Err(error.clone())).collect();
                answers.unwrap_or_else(failed)
            });
        let answers = join_all(requests).await.into_iter();
        let mut answers: Vec<_> = answers.map(Vec::into_iter).collect();
        let answer = |shard: &usize| answers[*shard].next().expect("one answer each");
        shards.iter().map(answer).collect()
    }
}

#[async_trait]
impl Remote for Line {
    async fn read(&self, address: &Address) -> Result<Reading, RemoteError> {
        self.one(address, |l2, address| at_once(l2.inner.read(address)))
            .await?
    }

    async fn lease(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
        seen: Seen,
    ) -> Result<Leased, RemoteError> {
        let effect =
            move |l2: &L2, address: &Address| at_once(l2.inner.lease(address, token, span, seen));
        self.one(address, effect).await?
    }

    async fn fill(&self, address: &Address, offer: Offer) -> Result<Filled, RemoteError> {
        let effect = move |l2: &L2, address: &Address| {
            let answer = at_once(l2.inner.fill(address, offer));
            l2.oracle
                .say(|| format!("L2 answers {answer:?} to a fill of {}", show(address)));
            answer
        };
        self.one(address, effect).await?
    }

    async fn touch(&self, address: &Address, touch: Touch) -> Result<bool, RemoteError> {
        let effect = move |l2: &L2, address: &Address| at_once(l2.inner.touch(address, touch));
        self.one(address, effect).await?
    }

    async fn release(&self, address: &Address, token: Token) -> Result<(), RemoteError> {
        let effect = move |l2: &L2, address: &Address| at_once(l2.inner.release(address, token));
        self.one(address, effect).await?
    }

    async fn quarantine(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
    ) -> Result<bool, RemoteError> {
        let effect =
            move |l2: &L2, address: &Address| at_once(l2.inner.quarantine(address, token, span));
        self.one(address, effect).await?
    }

    async fn write(&self, address: &Address, write: Write) -> Result<Written, RemoteError> {
        let effect = move |l2: &L2, address: &Address| {
            let answer = at_once(l2.inner.write(address, write));
            if let Ok(Written::Invalidated { position, .. }) = answer {
                l2.confirm(address, position);
            }
            if let Ok(Written::Invalidated { position, .. } | Written::Stored { position, .. }) =
                answer
            {
                l2.oracle.placed(address, position);
            }
            l2.oracle
                .say(|| format!("L2 answers {answer:?} to a write of {}", show(address)));
            answer
        };
        self.one(address, effect).await?
    }

    async fn apply(&self, batch: Vec<Invalidate>) -> Answers<Applied> {
        self.batch(batch, |one| one.address.bucket, L2::apply).await
    }

    async fn agree(&self, terms: &[u8]) -> Result<Bytes, RemoteError> {
        self.l2.inner.agree(terms).await
    }

    fn moved(&self) -> Vec<Bucket> {
        let failovers = *self.l2.failovers.lock();
        let before = std::mem::replace(&mut *self.noticed.lock(), failovers);
        let moved = |bucket: &Bucket| {
            let shard = shard_of(*bucket);
            before[shard] != failovers[shard]
        };
        Bucket::all().filter(moved).collect()
    }

    async fn beat(&self, batch: Vec<Beat>) -> Answers<Beaten> {
        let answers = self.batch(batch, |one| one.bucket, L2::beat).await;
        if answers.iter().any(Result::is_err) {
            self.l2.oracle.mending_failed();
        }
        answers
    }
}

fn shard_of(bucket: Bucket) -> usize {
    bucket.index() % SHARDS
}

fn show(address: &Address) -> String {
    String::from_utf8_lossy(&address.record).into_owned()
}

/// The in-memory L2 never waits.
fn at_once<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("memory answers at once")
}
