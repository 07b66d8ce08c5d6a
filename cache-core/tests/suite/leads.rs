//! Who writes what waits behind, and what becomes of it when the lead passes on.

use crate::write_behind::{KEYS, PATIENCE, Table, Trouble, World, Writer, policy};
use bytes::Bytes;
use cache_core::queue::memory::MemoryQueue;
use cache_core::queue::{Backlog, Lead, Queue, QueueError, Queued};
use cache_core::testkit::fleet::Fleet;
use cache_core::wire::codec::Bincode;
use cache_core::{Behind, Cache, Role};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn what_a_leader_did_not_write_the_next_one_does() {
    let world = World::new().await;
    // A leader that took some and died.
    let other: Arc<dyn Queue> = world.queue.clone();
    world.table.is_in(Trouble::Down);
    world.put_all(1).await;
    world.domain.leave().await;
    let mut dead: Box<dyn Lead> = other.lead(PATIENCE).await.expect("nobody leads");
    let taken = dead.next(20, Duration::ZERO).await.expect("it leads");
    dead.forget(taken[4].version).await.expect("it leads");
    drop(dead);

    let fleet = Fleet::in_memory();
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    let cache = Cache::open(&domain, policy(), Bincode::default()).expect("a policy");
    let table = Arc::new(Table::default());
    let next = cache.write_behind(other, Writer(table.clone()), Behind::default());
    let last = next.as_ref().expect("settings").put("last", 1).await;
    let written = next.expect("settings");
    let written = written
        .is_written(last.expect("there is room"), PATIENCE)
        .await;
    assert!(written.expect("the queue answers"));
    assert_eq!(table.rows.lock().len(), KEYS - 5 + 1);
}

/// A queue whose leader is always about to lose the lead, and often cannot say that it
/// goes on. Each time it said so counts as a call of no keys.
#[derive(Debug)]
struct Shaky(Arc<MemoryQueue>, Arc<Table>);

#[derive(Debug)]
struct ShakyLead(Box<dyn Lead>, u32, Arc<Table>);

#[async_trait::async_trait]
impl Queue for Shaky {
    async fn push(&self, body: Bytes) -> Result<u64, QueueError> {
        self.0.push(body).await
    }

    async fn lead(&self, span: Duration) -> Result<Box<dyn Lead>, QueueError> {
        let lead = self.0.lead(span).await?;
        Ok(Box::new(ShakyLead(lead, 0, self.1.clone())))
    }

    async fn backlog(&self) -> Result<Backlog, QueueError> {
        self.0.backlog().await
    }

    async fn put_aside(&self, write: &Queued, why: &str) -> Result<(), QueueError> {
        self.0.put_aside(write, why).await
    }

    fn is_durable(&self) -> bool {
        false
    }
}

#[async_trait::async_trait]
impl Lead for ShakyLead {
    async fn next(&mut self, most: usize, patience: Duration) -> Result<Vec<Queued>, QueueError> {
        self.0.next(most, patience).await
    }

    async fn read_again(&mut self, version: u64) -> Result<Option<Queued>, QueueError> {
        self.0.read_again(version).await
    }

    async fn forget(&mut self, version: u64) -> Result<(), QueueError> {
        self.0.forget(version).await
    }

    async fn hold(&mut self) -> Result<(), QueueError> {
        self.1 += 1;
        match self.1 % 5 {
            2 => Err(QueueError::Unavailable("it is slow".to_owned())),
            _ => {
                self.2.calls.lock().push(0);
                Ok(())
            }
        }
    }

    fn leads_for(&self) -> Duration {
        Duration::from_millis(1)
    }

    async fn resign(self: Box<Self>) {
        self.0.resign().await;
    }
}

async fn written_by_a_shaky_leader(world: &World) {
    let queue = Arc::new(Shaky(world.queue.clone(), world.table.clone()));
    world.domain.leave().await;
    let fleet = Fleet::in_memory();
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    let cache = Cache::open(&domain, policy(), Bincode::default()).expect("a policy");
    let settings = Behind {
        batch: 10,
        age: Duration::ZERO,
        backoff: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        ..Behind::default()
    };
    let behind = cache.write_behind(queue, Writer(world.table.clone()), settings);
    let behind = behind.expect("settings");
    let mut last = 0;
    for key in 0..20 {
        let put = behind.put(format!("k{key}"), 1).await;
        last = put.expect("there is room");
    }
    let written = behind.is_written(last, PATIENCE * 2).await;
    assert!(written.expect("the queue answers"));
}

#[tokio::test]
async fn a_leader_that_is_not_sure_to_lead_loses_nothing_that_it_has_taken() {
    let world = World::new().await;
    written_by_a_shaky_leader(&world).await;
    assert_eq!(world.table.rows.lock().len(), 20);
}

#[tokio::test]
async fn a_leader_that_is_not_sure_to_lead_asks_before_each_call() {
    let world = World::new().await;
    world.table.is_in(Trouble::Refuses("k7"));
    written_by_a_shaky_leader(&world).await;
    assert_eq!(world.table.rows.lock().len(), 19);
    assert_eq!(world.queue.aside().len(), 1);
    let calls = world.table.calls.lock();
    assert!(calls.iter().any(|keys| *keys > 1));
    let unasked = calls.windows(2).any(|two| two[0] > 0 && two[1] > 0);
    assert!(!unasked, "{calls:?}");
}
