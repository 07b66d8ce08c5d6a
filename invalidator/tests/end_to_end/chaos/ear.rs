//! What a library process hears on the bus, noted when it is done with it: the judge
//! holds its later reads to it.

use crate::rows::{self, wall_us};
use async_trait::async_trait;
use bytes::Bytes;
use cache_core::Name;
use cache_core::bus::{Bus, BusError, Heard, Subscription};
use cache_core::model::key::{Bucket, Key, KeySpace};
use cache_core::model::position::Position;
use cache_core::wire::invalidation::{Content, Message, Target};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// What one process has been told and was done with.
#[derive(Debug)]
pub(crate) struct Told {
    state: Mutex<State>,
    rows: HashMap<Vec<u8>, usize>,
    buckets: Vec<Bucket>,
}

#[derive(Debug)]
struct State {
    invalidated: Vec<Position>,
    beaten: Position,
    /// When it was first done with each change of the stream.
    done: HashMap<u64, u64>,
    newest: Position,
}

impl Told {
    /// Nothing yet, of so many rows of a cache.
    pub(crate) fn new(cache: &Name, rows: usize) -> Self {
        let space = KeySpace::new(Name::new("main").expect("a name"), cache.clone());
        let keys: Vec<_> = (0..rows).map(|row| rows::key(row as i64)).collect();
        let bucket = |key: &String| {
            space
                .hash(Key::new(key.as_bytes()).expect("a key"))
                .bucket()
        };
        Self {
            buckets: keys.iter().map(bucket).collect(),
            rows: keys.into_iter().map(String::into_bytes).zip(0..).collect(),
            state: Mutex::new(State {
                invalidated: vec![Position::ZERO; rows],
                beaten: Position::ZERO,
                done: HashMap::new(),
                newest: Position::ZERO,
            }),
        }
    }

    /// What a read of a row that begins here is held to: the highest invalidation of
    /// the row, and the highest heartbeat.
    pub(crate) fn of(&self, row: usize) -> (Position, Position) {
        let state = self.state.lock();
        (state.invalidated[row], state.beaten)
    }

    /// The newest change that this process was done with.
    pub(crate) fn newest(&self) -> Position {
        self.state.lock().newest
    }

    /// When it was first done with each change, since this was last asked.
    pub(crate) fn take_done(&self) -> HashMap<u64, u64> {
        std::mem::take(&mut self.state.lock().done)
    }

    fn note(&self, bytes: &[u8]) {
        let Some(message) = Message::decode(bytes) else {
            return;
        };
        match message.content {
            Content::Invalidate(all) => {
                for one in all {
                    self.note_one(&one.target, one.position);
                }
            }
            Content::Heartbeat { seen, .. } => {
                let mut state = self.state.lock();
                state.beaten = state.beaten.max(seen);
            }
            _ => {}
        }
    }

    fn note_one(&self, target: &Target, position: Position) {
        let mut state = self.state.lock();
        state.newest = state.newest.max(position);
        let raise = |state: &mut State, row: usize| {
            state.invalidated[row] = state.invalidated[row].max(position);
        };
        match target {
            Target::Key { key, .. } => {
                if let Some(row) = self.rows.get(&**key) {
                    raise(&mut state, *row);
                    let now = wall_us();
                    state.done.entry(position.offset).or_insert(now);
                }
            }
            Target::Tag { .. } => {
                (0..self.buckets.len()).for_each(|row| raise(&mut state, row));
            }
            Target::Bucket(bucket) => {
                let all = self.buckets.iter().enumerate();
                all.filter(|(_, own)| *own == bucket)
                    .for_each(|(row, _)| raise(&mut state, row));
            }
        }
    }
}

/// A bus that notes what its process is done with.
#[derive(Debug)]
pub(crate) struct NotedBus<B> {
    pub(crate) inner: B,
    pub(crate) told: Arc<Told>,
}

#[derive(Debug)]
struct Ear {
    inner: Box<dyn Subscription>,
    told: Arc<Told>,
    /// Done with when the next one is asked for.
    given: Option<Bytes>,
}

#[async_trait]
impl<B: Bus> Bus for NotedBus<B> {
    async fn publish(&self, message: Bytes) -> Result<(), BusError> {
        self.inner.publish(message).await
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>, BusError> {
        Ok(Box::new(Ear {
            inner: self.inner.subscribe().await?,
            told: self.told.clone(),
            given: None,
        }))
    }
}

#[async_trait]
impl Subscription for Ear {
    async fn next(&mut self) -> Option<Heard> {
        if let Some(message) = self.given.take() {
            self.told.note(&message);
        }
        let heard = self.inner.next().await?;
        if let Heard::Message(message) = &heard {
            self.given = Some(message.clone());
        }
        Some(heard)
    }

    async fn ping(&mut self, nonce: u64) -> Result<(), BusError> {
        self.inner.ping(nonce).await
    }
}
