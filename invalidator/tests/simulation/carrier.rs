//! An invalidator of a run: the shipping pipeline between the simulated stream, L2
//! and bus.

use crate::control::{self, Subject};
use crate::lifeline::Lifeline;
use crate::stream::{ACK_WAIT, Pull};
use crate::time::{SimClock, pause};
use crate::world::{Timing, World};
use async_trait::async_trait;
use cache_core::config::reader;
use cache_core::model::position::Position;
use cache_core::{Domain, Role};
use invalidator::dead_letter::{DeadLetters, Letter, LetterLost};
use invalidator::inspect::InspectorSettings;
use invalidator::inspect::inspector::Inspector;
use invalidator::inspect::sampler::{self, Sampler};
use invalidator::metrics::Metrics;
use invalidator::outbox::Outbox;
use invalidator::pipeline::{Pipeline, PipelineSettings};
use invalidator::recall;
use invalidator::rules::Rules;
use invalidator::settings::Repeat;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// One incarnation of an invalidator.
#[derive(Debug)]
pub(crate) struct Carrier {
    pub(crate) life: Arc<Lifeline>,
    /// Kept, since a domain that nobody holds ends by itself.
    _domain: Option<Arc<Domain>>,
}

impl Carrier {
    /// Starts an invalidator; tries until it is in.
    pub(crate) async fn start(world: &Arc<World>, process: usize) -> Self {
        loop {
            let life = Arc::new(Lifeline::new(process));
            world.oracle.started(process);
            if world.subject != Subject::Shipping {
                tokio::spawn(control::carry(world.clone(), life.clone(), rules()));
                return Self {
                    life,
                    _domain: None,
                };
            }
            let clock = Arc::new(SimClock::new(world.start));
            let parts = world.parts(&life, clock.clone(), Role::Invalidator);
            let Ok(domain) = Domain::join(parts).await else {
                life.crash();
                pause(Timing::default().heartbeat).await;
                continue;
            };
            if !know_the_past(world, &domain).await {
                life.crash();
                pause(Timing::default().heartbeat).await;
                continue;
            }
            tokio::spawn(tell_how_far(world.clone(), domain.clone()));
            let metrics = Arc::new(Metrics::new(&mut Registry::default(), "changes"));
            let outbox = Outbox {
                announcer: domain.announcer().clone(),
                letters: Arc::new(Letters),
                sampler: inspect(&domain, &metrics),
                metrics,
                clock,
            };
            let pull = Pull {
                stream: world.stream.clone(),
                life: life.clone(),
            };
            let pipeline = Pipeline::new(rules(), outbox, settings());
            tokio::spawn(pipeline.run(Box::new(pull), CancellationToken::new()));
            return Self {
                life,
                _domain: Some(domain),
            };
        }
    }
}

/// What the service does beside reading events, for what it has announced.
fn inspect(domain: &Domain, metrics: &Arc<Metrics>) -> Option<Sampler> {
    let (sampler, samples) = sampler::channel(InspectorSettings::default())?;
    domain.run(Inspector::new(domain, metrics.clone(), samples).run());
    Some(sampler)
}

/// What the service does before it reads events; false if L2 does not answer.
async fn know_the_past(world: &World, domain: &Domain) -> bool {
    let (done, given) = (world.stream.done_up_to(), world.stream.given());
    let given = Position::new(0, given, 0);
    let Ok(watermarks) = recall::watermarks(domain).await else {
        return false;
    };
    let recalled = recall::recall(
        domain,
        &watermarks,
        &rules(),
        Repeat::NEVER,
        &*world.stream,
        given,
    )
    .await;
    domain.done_up_to(Position::new(0, done, 0));
    recalled.is_ok()
}

/// What the service does beside reading events.
async fn tell_how_far(world: Arc<World>, domain: Arc<Domain>) {
    loop {
        pause(Timing::default().heartbeat).await;
        domain.done_up_to(Position::new(0, world.stream.done_up_to(), 0));
    }
}

fn rules() -> Rules {
    let text = "[native]\ncaches = ['rows']\n";
    reader::read("rules.toml", text, Rules::parse).expect("good rules")
}

fn settings() -> PipelineSettings {
    PipelineSettings {
        epoch: 0,
        batch: 16,
        in_flight_max: 64,
        ack_wait: ACK_WAIT,
        // No event of a run is given up: a shard may be away for most of it.
        attempts_max: 1_000,
        repeat: Repeat::NEVER,
        drain: Duration::from_secs(1),
    }
}

/// Dead letters that nobody reads.
#[derive(Debug)]
struct Letters;

#[async_trait]
impl DeadLetters for Letters {
    async fn write(&self, _: &Letter) -> Result<(), LetterLost> {
        Ok(())
    }
}
