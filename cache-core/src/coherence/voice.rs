//! One process's voice on the bus: it numbers what it says, without holes.

use crate::bus::{Bus, BusError};
use crate::model::landmark::Landmark;
use crate::model::position::Position;
use crate::model::second_look::SecondLook;
use crate::wire::invalidation::{
    Content, INSPECTIONS_MAX, INVALIDATIONS_MAX, Inspection, Invalidation, Message, Publisher,
    Violation,
};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Publishes numbered messages under one random identity.
#[derive(Debug)]
pub struct Voice {
    publisher: Publisher,
    bus: Arc<dyn Bus>,
    /// The last number taken. Held across the hand-over to the bus, so that the
    /// order of numbers is the order of messages.
    last: Mutex<u64>,
}

impl Voice {
    /// A voice with a random identity.
    pub fn new(bus: Arc<dyn Bus>, identity: u64) -> Self {
        Self {
            publisher: Publisher(identity),
            bus,
            last: Mutex::new(0),
        }
    }

    /// This voice's identity.
    pub fn publisher(&self) -> Publisher {
        self.publisher
    }

    /// Whether anybody would hear it at this moment, as far as is known here.
    pub fn is_heard(&self) -> bool {
        self.bus.is_up()
    }

    /// The last number taken; 0 if nothing was ever invalidated.
    pub async fn last(&self) -> u64 {
        *self.last.lock().await
    }

    /// Says what was invalidated, in as many messages as it takes.
    ///
    /// # Errors
    /// The bus's. A number once taken stays taken: listeners then see a hole and
    /// drop their L1, which is what a lost message must cause.
    pub async fn invalidate(&self, all: &[Invalidation]) -> Result<(), BusError> {
        for part in all.chunks(INVALIDATIONS_MAX) {
            let mut last = self.last.lock().await;
            *last += 1;
            self.say(*last, Content::Invalidate(part.to_vec())).await?;
        }
        Ok(())
    }

    /// Says that this process is alive.
    ///
    /// # Errors
    /// The bus's.
    pub async fn heartbeat(&self, invalidator: bool, seen: Position) -> Result<(), BusError> {
        let last = self.last.lock().await;
        self.say(*last, Content::Heartbeat { invalidator, seen })
            .await
    }

    /// Says how far the stream is in its database's log.
    ///
    /// # Errors
    /// The bus's.
    pub async fn landmark(&self, landmark: Landmark) -> Result<(), BusError> {
        let last = self.last.lock().await;
        self.say(*last, Content::Landmark(landmark)).await
    }

    /// Says that silence follows.
    ///
    /// # Errors
    /// The bus's.
    pub async fn farewell(&self) -> Result<(), BusError> {
        let last = self.last.lock().await;
        self.say(*last, Content::Farewell).await
    }

    /// Waits until all that was said has left this process.
    ///
    /// # Errors
    /// The bus's.
    pub async fn flush(&self) -> Result<(), BusError> {
        self.bus.flush().await
    }

    /// Asks every process to look into its L1s, in as many messages as it takes.
    ///
    /// # Errors
    /// The bus's.
    pub async fn inspect(&self, look: SecondLook, all: &[Inspection]) -> Result<(), BusError> {
        for part in all.chunks(INSPECTIONS_MAX) {
            let all = part.to_vec();
            let last = self.last.lock().await;
            self.say(*last, Content::Inspect { look, all }).await?;
        }
        Ok(())
    }

    /// Says what an inspection found in this process.
    ///
    /// # Errors
    /// The bus's.
    pub async fn violated(&self, all: &[Violation]) -> Result<(), BusError> {
        for part in all.chunks(INSPECTIONS_MAX) {
            let last = self.last.lock().await;
            self.say(*last, Content::Violated(part.to_vec())).await?;
        }
        Ok(())
    }

    async fn say(&self, sequence: u64, content: Content) -> Result<(), BusError> {
        let message = Message {
            publisher: self.publisher,
            sequence,
            content,
        };
        let bytes = message
            .encode()
            .ok_or_else(|| BusError("a message above the bus's limit".into()))?;
        self.bus.publish(bytes).await
    }
}
