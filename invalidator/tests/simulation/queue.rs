//! The queue of what members write behind: it outlives them, and a dead leader is waited
//! for before another leads.

use crate::lifeline::Lifeline;
use crate::time::pause;
use async_trait::async_trait;
use bytes::Bytes;
use cache_core::queue::memory::MemoryQueue;
use cache_core::queue::{Backlog, Lead, Queue, QueueError, Queued};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How often it is looked whether a leader is dead.
const LOOK: Duration = Duration::from_millis(50);

/// One process's way to the queue.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) life: Arc<Lifeline>,
}

#[derive(Debug)]
struct MortalLead {
    lead: Arc<Mutex<Option<Box<dyn Lead>>>>,
    life: Arc<Lifeline>,
}

#[async_trait]
impl Queue for Reach {
    async fn push(&self, body: Bytes) -> Result<u64, QueueError> {
        self.life.gate().await;
        self.queue.push(body).await
    }

    async fn lead(&self, span: Duration) -> Result<Box<dyn Lead>, QueueError> {
        self.life.gate().await;
        let lead = self.queue.lead(span).await?;
        let lead = Arc::new(Mutex::new(Some(lead)));
        let (held, life) = (lead.clone(), self.life.clone());
        tokio::spawn(async move {
            while !life.is_dead() && held.lock().await.is_some() {
                pause(LOOK).await;
            }
            held.lock().await.take();
        });
        let life = self.life.clone();
        Ok(Box::new(MortalLead { lead, life }))
    }

    async fn backlog(&self) -> Result<Backlog, QueueError> {
        self.queue.backlog().await
    }

    async fn put_aside(&self, write: &Queued, why: &str) -> Result<(), QueueError> {
        self.queue.put_aside(write, why).await
    }

    fn is_durable(&self) -> bool {
        true
    }
}

#[async_trait]
impl Lead for MortalLead {
    async fn next(&mut self, most: usize, patience: Duration) -> Result<Vec<Queued>, QueueError> {
        self.life.gate().await;
        let mut lead = self.lead.lock().await;
        let lead = lead.as_mut().ok_or(QueueError::Deposed)?;
        lead.next(most, patience).await
    }

    async fn read_again(&mut self, version: u64) -> Result<Option<Queued>, QueueError> {
        self.life.gate().await;
        let mut lead = self.lead.lock().await;
        let lead = lead.as_mut().ok_or(QueueError::Deposed)?;
        lead.read_again(version).await
    }

    async fn forget(&mut self, version: u64) -> Result<(), QueueError> {
        self.life.gate().await;
        let mut lead = self.lead.lock().await;
        let lead = lead.as_mut().ok_or(QueueError::Deposed)?;
        lead.forget(version).await
    }

    async fn hold(&mut self) -> Result<(), QueueError> {
        self.life.gate().await;
        Ok(())
    }

    fn leads_for(&self) -> Duration {
        Duration::MAX
    }

    async fn resign(self: Box<Self>) {
        self.lead.lock().await.take();
    }
}
