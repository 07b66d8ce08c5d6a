//! The life of an invalidator: open everything, check that it fits together, run
//! the loop, and leave in order.

use crate::config::{RulesFile, Service};
use crate::consume::Puller;
use crate::dead_letter::JetStreamLetters;
use crate::inspect::InspectorSettings;
use crate::inspect::inspector::Inspector;
use crate::inspect::sampler::{self, Sampler};
use crate::metrics::{Metrics, VERSION};
use crate::outbox::Outbox;
use crate::page;
use crate::pause::Flag;
use crate::pipeline::{Pipeline, PipelineSettings};
use crate::recall::{self, Watermarks};
use crate::source::{Backlog, Link, Source, epoch_after};
use crate::watch::{NotReady, Watch};
use cache_core::clock::SystemClock;
use cache_core::metrics::Metrics as DomainMetrics;
use cache_core::model::position::Position;
use cache_core::ops::admin::{self, Admin};
use cache_core::ops::manager::Manager;
use cache_core::ops::page::plain::{self, Plain};
use cache_core::ops::process;
use cache_core::{Domain, Error, Kind, Role, connect};
use parking_lot::RwLock;
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The pause before everything is opened once more.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);
/// How long the last answers may take on their way to NATS.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it takes at most, after the drain, to send the last answers and to leave an L2
/// that is away; with room.
const LEAVE: Duration = Duration::from_secs(10);

/// One invalidator, opened and not running yet.
#[derive(Debug)]
pub struct App {
    source: Source,
    /// How far everything was before anything was read.
    first: Backlog,
    domain: Arc<Domain>,
    letters: JetStreamLetters,
    rules: RulesFile,
    drain: Duration,
    inspector: InspectorSettings,
    metrics: Arc<Metrics>,
    registry: Arc<Registry>,
    /// Why it is not ready, unless its connection is the reason.
    not_ready: NotReady,
    /// What stops all instances, kept in NATS.
    flag: Flag,
    /// Whether they are stopped.
    paused: watch::Sender<bool>,
}

impl App {
    /// Connects to everything, in the epoch in which the stream goes on.
    ///
    /// # Errors
    /// [`cache_core::Kind::Unavailable`] when Redis, NATS or the stream is not there,
    /// [`cache_core::Kind::Mismatch`] when L2 or the consumer was set up otherwise.
    pub async fn open(service: Service, rules: RulesFile) -> Result<Self, Error> {
        let link = Link::connect(&service.events, "invalidator").await?;
        let mut source = Source::open(link.clone(), rules.source.clone()).await?;
        let letters = JetStreamLetters::open(
            link.client.clone(),
            link.context.clone(),
            &service.letters,
            &rules.source.stream,
            &rules.source.durable,
        )
        .await?;
        let mut registry = Registry::default();
        let observer = Arc::new(DomainMetrics::new(&mut registry));
        let metrics = Arc::new(Metrics::new(&mut registry, &rules.source.stream));
        metrics.begin(rules.rules.all.iter().map(|rule| rule.table.as_str()));
        process::register(&mut registry, Arc::new(SystemClock::new()), VERSION);
        let first = source.backlog().await?;
        let domain = connect::open(&service.domain, Role::Invalidator, observer).await?;
        let watermarks = recall::watermarks(&domain).await?;
        // In this order: others go on meanwhile, and L2 is never ahead of a stream
        // that is looked at later.
        let now = source.backlog().await?;
        let epoch = epoch_after(&rules.source, highest(&watermarks), &now);
        if epoch > rules.source.epoch {
            let configured = rules.source.epoch;
            tracing::warn!(epoch, configured, "an epoch later than that of the file");
        }
        source.settings.epoch = epoch;
        metrics.epoch(epoch);
        // What nobody was given, L2 cannot have lost.
        let given = source.position(first.given);
        let repeat = rules.source.repeat;
        let recalled =
            recall::recall(&domain, &watermarks, &rules.rules, repeat, &source, given).await?;
        tracing::info!(?recalled, "L2 holds what it should, as far as it answers");
        let done = source.position(first.done);
        let flag = Flag::new(source.link.context.clone(), &source.settings);
        let paused = flag.read().await?.is_some();
        match paused {
            true => domain.rests_at(done),
            false => domain.done_up_to(done),
        }
        Ok(Self {
            source,
            first,
            domain,
            letters,
            drain: service.drain,
            inspector: service.inspector,
            rules,
            metrics,
            registry: Arc::new(registry),
            not_ready: Arc::new(RwLock::new(Some("starting"))),
            flag,
            paused: watch::Sender::new(paused),
        })
    }

    /// Runs until `stop`, and then drains.
    ///
    /// # Errors
    /// [`cache_core::Kind::Mismatch`] when the stream was made anew, [`cache_core::Kind::Unavailable`] when
    /// it is gone for good.
    pub async fn run(self, admin: TcpListener, stop: CancellationToken) -> Result<(), Error> {
        let close_admin = CancellationToken::new();
        let router = self.admin().router();
        let router = router.merge(plain::router(page::PAGE, self.plain()));
        let admin = admin::serve(admin, router, close_admin.clone().cancelled_owned());
        let admin = tokio::spawn(admin);
        let puller = Puller::new(self.source.clone(), self.paused.subscribe()).await?;
        let pipeline = self.pipeline();
        let give_up = pipeline.give_up();
        // The loop ends when it is asked to, or when watching shows that it must.
        let end = stop.child_token();
        let watching = async {
            let error = tokio::select! {
                error = self.watch().run() => Some(error),
                () = end.cancelled() => None,
            };
            *self.not_ready.write() = Some("draining");
            if error.is_some() {
                give_up.cancel();
            }
            end.cancel();
            error.map_or(Ok(()), Err)
        };
        tracing::info!(stream = self.rules.source.stream, "events are being read");
        let running = async {
            let ran = pipeline.run(Box::new(puller), end.clone()).await;
            end.cancel();
            ran
        };
        let (ran, watched) = tokio::join!(running, watching);
        // Answers are sent without waiting for them: here they reach the server.
        if timeout(FLUSH_TIMEOUT, self.source.link.client.flush())
            .await
            .is_err()
        {
            tracing::warn!("the last answers may be lost; their events come again");
        }
        self.domain.leave().await;
        close_admin.cancel();
        let _ = timeout(FLUSH_TIMEOUT, admin).await;
        ran.and(watched)
    }

    fn watch(&self) -> Watch {
        Watch {
            source: self.source.clone(),
            metrics: self.metrics.clone(),
            domain: self.domain.clone(),
            caches: self.rules.rules.caches(),
            first: self.first,
            not_ready: self.not_ready.clone(),
            flag: self.flag.clone(),
            paused: self.paused.clone(),
        }
    }

    /// Starts the inspector, which ends with the domain.
    fn inspect(&self) -> Option<Sampler> {
        let (sampler, samples) = sampler::channel(self.inspector)?;
        let inspector = Inspector::new(&self.domain, self.metrics.clone(), samples);
        self.domain.run(inspector.run());
        Some(sampler)
    }

    fn pipeline(&self) -> Pipeline {
        let source = &self.source.settings;
        let outbox = Outbox {
            announcer: self.domain.announcer().clone(),
            letters: Arc::new(self.letters.clone()),
            metrics: self.metrics.clone(),
            sampler: self.inspect(),
            clock: self.domain.clock().clone(),
        };
        let settings = PipelineSettings {
            epoch: source.epoch,
            batch: source.batch,
            in_flight_max: source.in_flight_max,
            ack_wait: source.ack_wait,
            attempts_max: source.attempts_max,
            repeat: source.repeat,
            drain: self.drain,
        };
        Pipeline::new(self.rules.rules.clone(), outbox, settings)
    }

    fn plain(&self) -> Plain {
        let clock = self.domain.clock().clone();
        Plain {
            version: VERSION,
            wanted: &page::SERIES,
            registry: self.registry.clone(),
            not_ready: self.admin().not_ready,
            began: clock.now(),
            clock,
        }
    }

    fn admin(&self) -> Admin {
        let not_ready = self.not_ready.clone();
        let link = self.source.link.clone();
        Admin {
            registry: self.registry.clone(),
            look: admin::no_parts(),
            not_ready: Arc::new(move || {
                let away = (!link.is_up()).then_some("NATS is away");
                not_ready.read().or(away).map(str::to_owned)
            }),
        }
    }
}

/// Lives until `stop`: where the stream does not go on, everything is opened anew, in
/// the next epoch. Values from before are refused then, all at once, because nobody can
/// say which of them missed a change. `manager` is told how it fares.
///
/// # Errors
/// As [`App::open`] the first time, and whatever ends [`App::run`] for good.
pub async fn live(
    service: Service,
    mut rules: RulesFile,
    admin: TcpListener,
    manager: Manager,
    stop: CancellationToken,
) -> Result<(), Error> {
    let address = admin.local_addr();
    let mut next = App::open(service.clone(), rules.clone()).await?;
    let mut admin = Some(admin);
    let shown = Arc::new(RwLock::new(next.admin().not_ready));
    let mut attending = JoinSet::new();
    let look = shown.clone();
    attending.spawn(manager.clone().attend(Arc::new(move || {
        let not_ready = look.read().clone();
        not_ready()
    })));
    let (told, end) = (manager.clone(), stop.clone());
    let at_most = service.drain + LEAVE;
    attending.spawn(async move {
        end.cancelled().await;
        told.stopping(at_most);
    });
    manager.ready();
    loop {
        let epoch = next.source.settings.epoch;
        let listener = match admin.take() {
            Some(listener) => Ok(listener),
            None => listen(&address).await,
        };
        let error = match next.run(listener?, stop.clone()).await {
            Err(error) if error.kind() == Kind::Mismatch => error,
            ended => return ended,
        };
        if stop.is_cancelled() {
            // Whoever starts next finds it out by itself.
            tracing::warn!(%error, "ending all the same");
            return Ok(());
        }
        rules.source.epoch = epoch.saturating_add(1);
        tracing::error!(%error, epoch = rules.source.epoch, "going on in another epoch");
        *shown.write() = Arc::new(|| Some("opening everything anew".to_owned()));
        next = loop {
            match App::open(service.clone(), rules.clone()).await {
                // What ended it may not be over.
                Err(error) if error.kind() == Kind::Unavailable => {
                    tracing::warn!(%error, "not yet");
                }
                opened => break opened?,
            }
            if timeout(REOPEN_PAUSE, stop.cancelled()).await.is_ok() {
                return Ok(());
            }
        };
        *shown.write() = next.admin().not_ready;
    }
}

async fn listen(address: &std::io::Result<SocketAddr>) -> Result<TcpListener, Error> {
    let failed = |cause: &dyn std::fmt::Display| {
        let doing = "opening the admin listener again";
        Error::new(Kind::Unavailable, doing, "[admin]").because(cause.to_string())
    };
    let address = address.as_ref().map_err(|error| failed(error))?;
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| failed(&error))
}

/// The highest position that any bucket of L2 knows.
fn highest(watermarks: &Watermarks) -> Position {
    let known = watermarks.iter().filter_map(|(_, watermark)| *watermark);
    known
        .map(|held| held.applied.max(held.seen))
        .max()
        .unwrap_or_default()
}
