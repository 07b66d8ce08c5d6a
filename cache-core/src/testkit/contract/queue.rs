//! What every queue does.

use crate::queue::{Lead, Queue, QueueError, Queued};
use crate::testkit::until::until;
use bytes::Bytes;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);
const SPAN: Duration = Duration::from_secs(3);
const WRITES: u32 = 500;

/// Runs every case, each on a new queue that holds at most 100 kB.
///
/// # Panics
/// At the first answer that breaks the contract.
pub async fn check<Q: Queue>(new: impl AsyncFn() -> Q) {
    writes_come_out_in_order_and_once(&new().await).await;
    what_is_not_forgotten_comes_again(&new().await).await;
    one_leads_at_a_time(&new().await).await;
    a_full_queue_refuses_and_keeps_what_it_has(&new().await).await;
    a_backlog_tells_what_waits(&new().await).await;
}

async fn push(queue: &dyn Queue, n: u32) -> u64 {
    let body = Bytes::copy_from_slice(&n.to_be_bytes());
    queue.push(body).await.expect("there is room")
}

async fn lead(queue: &dyn Queue) -> Box<dyn Lead> {
    let lead = tokio::time::timeout(PATIENCE, queue.lead(SPAN)).await;
    lead.expect("somebody may lead").expect("the queue answers")
}

async fn take(lead: &mut dyn Lead, count: usize) -> Vec<Queued> {
    let mut all = Vec::new();
    while all.len() < count {
        let some = lead.next(count - all.len(), PATIENCE).await;
        let some = some.expect("the queue answers");
        assert!(!some.is_empty(), "after {}", all.len());
        all.extend(some);
    }
    all
}

fn number(write: &Queued) -> u32 {
    u32::from_be_bytes(write.body.as_ref().try_into().expect("four bytes"))
}

async fn writes_come_out_in_order_and_once(queue: &dyn Queue) {
    let mut versions = Vec::new();
    for n in 0..WRITES {
        versions.push(push(queue, n).await);
    }
    assert!(versions.is_sorted_by(|a, b| a < b), "versions grow");
    let mut lead = lead(queue).await;
    let writes = take(&mut *lead, WRITES as usize).await;
    assert!(writes.iter().map(number).eq(0..WRITES));
    assert!(writes.iter().map(|write| write.version).eq(versions));
    let more = lead.next(1, Duration::from_millis(300)).await;
    assert_eq!(more.expect("the queue answers"), []);
    push(queue, WRITES).await;
    assert_eq!(number(&take(&mut *lead, 1).await[0]), WRITES);
}

async fn what_is_not_forgotten_comes_again(queue: &dyn Queue) {
    for n in 0..10 {
        push(queue, n).await;
    }
    let mut first = lead(queue).await;
    let writes = take(&mut *first, 10).await;
    for write in [&writes[9], &writes[0]] {
        let again = first.read_again(write.version).await;
        let again = again.expect("the queue answers").expect("it is there");
        assert_eq!((again.version, &again.body), (write.version, &write.body));
    }
    first.forget(writes[3].version).await.expect("it leads");
    first.resign().await;
    let mut second = lead(queue).await;
    let gone = second.read_again(writes[0].version).await;
    assert_eq!(gone, Ok(None), "forgotten");
    let again = take(&mut *second, 6).await;
    assert!(again.iter().map(number).eq(4..10));
    // All forgotten, and then some: versions go on.
    second.forget(writes[9].version).await.expect("it leads");
    second.resign().await;
    assert!(push(queue, 10).await > writes[9].version);
    let mut third = lead(queue).await;
    assert_eq!(number(&take(&mut *third, 1).await[0]), 10);
}

async fn one_leads_at_a_time(queue: &dyn Queue) {
    let first = lead(queue).await;
    assert!(first.leads_for() > SPAN / 2);
    let other = tokio::time::timeout(Duration::from_millis(300), queue.lead(SPAN)).await;
    assert!(other.is_err(), "another leads");
    drop(first);
    lead(queue).await.resign().await;
}

async fn a_full_queue_refuses_and_keeps_what_it_has(queue: &dyn Queue) {
    let body = Bytes::from(vec![7; 10_000]);
    let mut taken = 0;
    let refused = loop {
        match queue.push(body.clone()).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 20, "it holds 100 kB");
    };
    assert_eq!(refused, QueueError::Full);
    let mut lead = lead(queue).await;
    let writes = take(&mut *lead, taken).await;
    assert!(writes.iter().all(|write| write.body == body));
    let last = writes.last().expect("some were taken").version;
    lead.forget(last).await.expect("it leads");
    push(queue, 1).await;
    let aside = queue.put_aside(&writes[0], "not wanted\n").await;
    aside.expect("there is room");
}

async fn a_backlog_tells_what_waits(queue: &dyn Queue) {
    let empty = queue.backlog().await.expect("the queue answers");
    assert_eq!((empty.waiting, empty.oldest_ms), (0, None));
    let versions = [push(queue, 0).await, push(queue, 1).await];
    let two = queue.backlog().await.expect("the queue answers");
    assert_eq!((two.waiting, two.oldest_ms.is_some()), (2, true));
    let mut lead = lead(queue).await;
    take(&mut *lead, 2).await;
    lead.forget(versions[0]).await.expect("it leads");
    let one = queue.backlog().await.expect("the queue answers");
    assert_eq!((one.waiting, one.done), (1, versions[0]));
    lead.forget(versions[1]).await.expect("it leads");
    let none = async || {
        let backlog = queue.backlog().await.expect("the queue answers");
        (backlog.waiting, backlog.done, backlog.oldest_ms) == (0, versions[1], None)
    };
    until(PATIENCE, "nothing waits", none)
        .await
        .expect("all of it is done");
}
