//! A bus between simulated processes: in each ear's own order, slow, lossy, cut with
//! and without a word, and sometimes out of order.

use crate::lifeline::Lifeline;
use crate::oracle::Oracle;
use crate::sky::Sky;
use async_trait::async_trait;
use bytes::Bytes;
use cache_core::bus::{Bus, BusError, Heard, Subscription};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The one bus of a run.
#[derive(Debug)]
pub(crate) struct Hub {
    ears: Mutex<Vec<Arc<Ear>>>,
    down: AtomicBool,
    sky: Arc<Sky>,
    oracle: Arc<Oracle>,
}

/// One process's connection to it.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) hub: Arc<Hub>,
    pub(crate) life: Arc<Lifeline>,
}

/// What is on its way to one subscription.
#[derive(Debug)]
struct Ear {
    life: Arc<Lifeline>,
    queue: Mutex<VecDeque<(Instant, Heard)>>,
    cut: AtomicBool,
    arrived: Notify,
}

/// One process's ear.
#[derive(Debug)]
struct Listening {
    hub: Arc<Hub>,
    ear: Arc<Ear>,
    /// The message given out last: done with when the next one is asked for.
    given: Option<Bytes>,
}

impl Hub {
    pub(crate) fn new(sky: Arc<Sky>, oracle: Arc<Oracle>) -> Self {
        Self {
            ears: Mutex::default(),
            down: AtomicBool::new(false),
            sky,
            oracle,
        }
    }

    /// Nobody can publish; when it is over, everybody has reconnected.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
        if !down {
            for ear in &*self.ears.lock() {
                self.send(ear, Heard::Lost("the simulated bus was away"));
            }
        }
    }

    /// Cuts one process off, or joins it again, with or without a word.
    pub(crate) fn cut(&self, process: usize, cut: bool, told: bool) {
        let ears = self.ears.lock();
        for ear in ears.iter().filter(|ear| ear.life.process == process) {
            ear.cut.store(cut, Ordering::Relaxed);
            if told && !cut {
                self.send(ear, Heard::Lost("the simulated line was cut"));
            }
        }
    }

    fn send(&self, ear: &Ear, heard: Heard) {
        let Sky { dice, weather, .. } = &*self.sky;
        let mut queue = ear.queue.lock();
        let arrives = Instant::now() + dice.span(1..weather.bus_millis);
        let last = queue.back().map_or(arrives, |(last, _)| *last);
        queue.push_back((arrives.max(last), heard));
        let length = queue.len();
        if length > 1 && self.sky.strikes(weather.bus_swapped) {
            queue.swap(length - 2, length - 1);
        }
        drop(queue);
        ear.arrived.notify_one();
    }

    pub(crate) fn is_cut(&self, process: usize) -> bool {
        let ears = self.ears.lock();
        ears.iter()
            .any(|ear| ear.life.process == process && ear.cut.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl Bus for Wire {
    async fn publish(&self, message: Bytes) -> Result<(), BusError> {
        self.life.gate().await;
        let hub = &self.hub;
        if hub.down.load(Ordering::Relaxed) {
            return Err(BusError("the simulated bus is down".to_owned()));
        }
        // A client's buffer takes it; nobody knows yet that the line is cut.
        if hub.is_cut(self.life.process) {
            return Ok(());
        }
        let mut ears = hub.ears.lock();
        ears.retain(|ear| !ear.life.is_dead());
        for ear in &*ears {
            let lost = hub.sky.strikes(hub.sky.weather.bus_lost);
            if !lost && !ear.cut.load(Ordering::Relaxed) {
                hub.send(ear, Heard::Message(message.clone()));
            }
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>, BusError> {
        self.life.gate().await;
        let ear = Arc::new(Ear {
            life: self.life.clone(),
            queue: Mutex::default(),
            cut: AtomicBool::new(false),
            arrived: Notify::new(),
        });
        self.hub.ears.lock().push(ear.clone());
        Ok(Box::new(Listening {
            hub: self.hub.clone(),
            ear,
            given: None,
        }))
    }
}

#[async_trait]
impl Subscription for Listening {
    async fn next(&mut self) -> Option<Heard> {
        if let Some(message) = self.given.take() {
            self.hub.oracle.handled(self.ear.life.process, &message);
        }
        loop {
            self.ear.life.gate().await;
            let head = self.ear.queue.lock().front().map(|(arrives, _)| *arrives);
            match head {
                Some(arrives) if arrives <= Instant::now() => break,
                Some(arrives) => tokio::select! {
                    biased;
                    () = sleep_until(arrives) => {}
                    () = self.ear.arrived.notified() => {}
                },
                None => self.ear.arrived.notified().await,
            }
        }
        let (_, heard) = self.ear.queue.lock().pop_front()?;
        if let Heard::Message(message) = &heard {
            self.given = Some(message.clone());
        }
        Some(heard)
    }

    async fn ping(&mut self, nonce: u64) -> Result<(), BusError> {
        if self.hub.down.load(Ordering::Relaxed) {
            return Err(BusError("the simulated bus is down".to_owned()));
        }
        if !self.ear.cut.load(Ordering::Relaxed) {
            self.hub.send(&self.ear, Heard::Echo(nonce));
        }
        Ok(())
    }
}
