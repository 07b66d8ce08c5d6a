//! Negative controls: caches as they are usually built, in the same world and before
//! the same oracle, which must find each of them out.
//!
//! | | a fill is accepted | an invalidation | L1 |
//! | --- | --- | --- | --- |
//! | naive | always | deletes | kept until told |
//! | lease only | under the lease that the miss was given | deletes, and ends the lease | none |
//! | marks only | if it is not older than the mark | leaves a mark with its position | none |

use crate::bus::Wire;
use crate::database::{From, ROWS, Row, group_of, key, tag};
use crate::l2::Line;
use crate::lifeline::Lifeline;
use crate::stream::Pull;
use crate::world::World;
use cache_core::bus::{Bus, Heard};
use cache_core::coherence::voice::Voice;
use cache_core::event::Tier;
use cache_core::model::as_of::AsOf;
use cache_core::model::position::Position;
use cache_core::random::Random;
use cache_core::wire::invalidation::{Content, Invalidation, Message, Target};
use invalidator::decide::decide;
use invalidator::delivery::{Deliveries, Delivery};
use invalidator::format::received::Received;
use invalidator::rules::Rules;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// What a run is about: the shipping cache, or one that must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Shipping,
    Naive,
    LeaseOnly,
    MarksOnly,
}

/// What L2 holds of a row for a control.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cell {
    /// A value, or the knowledge that there is none.
    value: Option<Option<Row>>,
    /// Who may fill it.
    lease: Option<u64>,
    /// The position of the last invalidation.
    mark: u64,
}

/// A control in one library process.
#[derive(Debug)]
pub(crate) struct Control {
    subject: Subject,
    world: Arc<World>,
    life: Arc<Lifeline>,
    line: Line,
    l1: Mutex<HashMap<usize, Option<Row>>>,
}

impl Control {
    /// Opens a control, and listens before anything is read.
    pub(crate) async fn open(world: &Arc<World>, life: &Arc<Lifeline>) -> Arc<Self> {
        let control = Arc::new(Self {
            subject: world.subject,
            world: world.clone(),
            life: life.clone(),
            line: Line::new(world.l2.clone(), life.clone()),
            l1: Mutex::default(),
        });
        let wire = wire(world, life);
        let mut ear = wire.subscribe().await.expect("the simulated bus is up");
        let listening = control.clone();
        tokio::spawn(async move {
            while let Some(heard) = ear.next().await {
                listening.hear(&heard);
            }
        });
        control
    }

    fn hear(&self, heard: &Heard) {
        let Heard::Message(bytes) = heard else {
            return self.l1.lock().clear();
        };
        if let Some(Message {
            content: Content::Invalidate(all),
            ..
        }) = Message::decode(bytes)
        {
            for row in all.iter().flat_map(|one| rows_of(&one.target)) {
                self.l1.lock().remove(&row);
            }
        }
    }

    /// Reads a row, by way of the tiers; answers with where it was found.
    pub(crate) async fn read(&self, row: usize, from: From) -> Option<(Option<Row>, Tier)> {
        let in_l1 = self.l1.lock().get(&row).copied();
        if let Some(value) = in_l1 {
            return Some((value, Tier::L1));
        }
        let token = Random::next(&self.world.sky.dice);
        let looked = self.line.cell(row, move |cell| {
            cell.lease = cell.lease.or(cell.value.is_none().then_some(token));
            *cell
        });
        let looked = looked.await.ok();
        if let Some(Cell {
            value: Some(value), ..
        }) = looked
        {
            self.keep(row, value);
            return Some((value, Tier::L2));
        }
        let loaded = self.world.database.load(&self.life, row, from).await.ok()?;
        let as_of = match loaded.as_of {
            AsOf::Position(position) => position.offset,
            // What the primary had published when it was read, at least.
            _ => looked.map_or(0, |cell| cell.mark),
        };
        if looked.is_some() && self.fill(row, loaded.value, token, as_of).await {
            self.keep(row, loaded.value);
        }
        Some((loaded.value, Tier::None))
    }

    async fn fill(&self, row: usize, value: Option<Row>, token: u64, as_of: u64) -> bool {
        let subject = self.subject;
        let filled = self.line.cell(row, move |cell| {
            let accepted = match subject {
                Subject::LeaseOnly => cell.lease == Some(token),
                Subject::MarksOnly => as_of >= cell.mark,
                Subject::Shipping | Subject::Naive => true,
            };
            if accepted {
                cell.value = Some(value);
                cell.lease = None;
            }
            accepted
        });
        filled.await.unwrap_or(false)
    }

    fn keep(&self, row: usize, value: Option<Row>) {
        if self.subject == Subject::Naive {
            self.l1.lock().insert(row, value);
        }
    }
}

/// The invalidator of a control: L2, then the bus, then the ack, as it should be.
pub(crate) async fn carry(world: Arc<World>, life: Arc<Lifeline>, rules: Rules) {
    let voice = Voice::new(Arc::new(wire(&world, &life)), Random::next(&world.sky.dice));
    let line = Line::new(world.l2.clone(), life.clone());
    let mut pull = Pull {
        stream: world.stream.clone(),
        life,
    };
    loop {
        let Ok(deliveries) = pull.next(16).await else {
            return;
        };
        for delivery in deliveries {
            announce(&line, &voice, &delivery, &rules).await;
        }
    }
}

async fn announce(line: &Line, voice: &Voice, delivery: &Delivery, rules: &Rules) {
    let position = Position::new(0, delivery.sequence, 0);
    let targets = decide(&Received::bytes(&delivery.payload), rules).targets;
    let rows = targets.iter().flat_map(rows_of);
    for row in rows {
        let deleted = move |cell: &mut Cell| {
            *cell = Cell {
                mark: cell.mark.max(position.offset),
                ..Cell::default()
            };
        };
        while line.cell(row, deleted).await.is_err() {}
    }
    let all: Vec<_> = targets
        .into_iter()
        .map(|target| Invalidation {
            target,
            position,
            changed_ms: None,
            in_l2: true,
        })
        .collect();
    if voice.invalidate(&all).await.is_ok() {
        let _ = delivery.receipt.ack().await;
    }
}

fn wire(world: &World, life: &Arc<Lifeline>) -> Wire {
    Wire {
        hub: world.hub.clone(),
        life: life.clone(),
    }
}

/// The rows that a target is about.
fn rows_of(target: &Target) -> Vec<usize> {
    let all = 0..ROWS;
    match target {
        Target::Key { key: hit, .. } => all.filter(|row| **hit == *key(*row).as_bytes()).collect(),
        Target::Tag { tag: hit, .. } if hit.as_str() == "*" => all.collect(),
        Target::Tag { tag: hit, .. } => all
            .filter(|row| hit.as_str() == tag(group_of(*row)))
            .collect(),
        Target::Bucket(_) => Vec::new(),
    }
}
