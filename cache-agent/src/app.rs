//! The life of an agent: listen, join the domain, serve, drain.

use crate::accept::Accept;
use crate::admin::Admin;
use crate::caches::{Caches, Queues};
use crate::callers::Callers;
use crate::calls::Agent;
use crate::config::{Drain, Limits};
use crate::gate::Gate;
use crate::grpc::Grpc;
use crate::health::Readiness;
use crate::listen::Doors;
use crate::observe::Watcher;
use crate::page::{self, looked::Looked};
use crate::parts;
use crate::reloads::Reloads;
use crate::resp::counts::Counts;
use crate::resp::door;
use crate::sizes::Sizes;
use crate::stats::{Demo, Member, Stats, millis};
use cache_core::clock::{Clock, Tick};
use cache_core::metrics::Metrics;
use cache_core::ops::admin::{self, Admin as Common};
use cache_core::ops::process;
use cache_core::{Domain, DomainSettings, Error, Kind, Policy, Role, connect};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// The first and the longest pause between two tries to reach Redis and NATS.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// How often it is looked whether invalidations can be told.
const MIND: Duration = Duration::from_millis(200);

/// How long leaving the domain takes at most, after the drain and beside the last call that
/// writes: 10 s for writes that wait, 5 s for their queue, 2 s for an L2 that is away, and room.
const LEAVE: Duration = Duration::from_secs(20);

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// One agent. Clones share it.
#[derive(Clone)]
pub struct App {
    /// The API's calls.
    pub agent: Agent,
    /// What is heard of the caches.
    pub watcher: Arc<Watcher>,
    /// Whether it is ready.
    pub readiness: Readiness,
    gate: Gate,
    resp: Counts,
    callers: Callers,
    accept: Accept,
    /// How reloads of the configuration ended.
    pub reloads: Reloads,
    drain: Arc<Mutex<Option<Drain>>>,
    registry: Arc<Registry>,
    began: Tick,
    demo: Arc<OnceLock<Box<dyn Fn() -> Demo + Send + Sync>>>,
}

impl App {
    /// An agent that has joined no domain yet.
    pub async fn new(policies: Vec<Policy>, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        Self::over(Caches::new(policies), limits, clock).await
    }

    /// The same over closed caches, some of which may load or write by themselves.
    pub async fn over(caches: Caches, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        let mut registry = Registry::default();
        let watcher = Arc::new(Watcher::new(Metrics::new(&mut registry)));
        process::register(&mut registry, clock.clone(), VERSION);
        let began = clock.now();
        let agent = Agent::new(Arc::new(caches), watcher.clone(), clock, limits);
        let resp = Counts::new(&mut registry);
        agent.exchanged.register(&mut registry);
        let gate = Gate::new(agent.turns.clone(), &mut registry);
        let reloads = Reloads::new(&mut registry);
        registry.register_collector(Box::new(Sizes(agent.clone())));
        Self {
            agent,
            watcher,
            readiness: Readiness::starting().await,
            gate,
            resp,
            callers: Callers::default(),
            accept: Accept::default(),
            reloads,
            drain: Arc::default(),
            registry: Arc::new(registry),
            began,
            demo: Arc::default(),
        }
    }

    /// The same, for these callers only.
    #[must_use]
    pub fn for_callers(self, callers: Callers) -> Self {
        Self { callers, ..self }
    }

    /// The same, which takes these connections to its port only.
    #[must_use]
    pub fn accepting(self, accept: Accept) -> Self {
        Self { accept, ..self }
    }

    /// Ends like this, whatever was said before.
    pub fn set_drain(&self, drain: Drain) {
        *self.drain.lock() = Some(drain);
    }

    /// How it ends: as it was told last, and else as `usual`.
    pub fn drain_or(&self, usual: Drain) -> Drain {
        self.drain.lock().unwrap_or(usual)
    }

    /// Opens the caches in a joined domain; the agent is ready from here on.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a policy that contradicts itself.
    pub async fn open(&self, domain: &Arc<Domain>, queues: &Queues) -> Result<(), Error> {
        let caches = &self.agent.caches;
        caches.open(domain, &self.watcher.feed, queues)?;
        self.readiness.ready().await;
        Ok(())
    }

    /// Reaches Redis and NATS, once.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when one of them cannot be reached.
    pub async fn join(&self, settings: &DomainSettings) -> Result<(), Error> {
        let domain = connect::open(settings, Role::Member, self.watcher.clone()).await?;
        let mut queues = Queues::new();
        for name in self.agent.caches.behind() {
            queues.insert(name.clone(), connect::queue(settings, name).await?);
        }
        self.open(&domain, &queues).await
    }

    /// The same, tried until it works. What trying again cannot mend ends it too.
    pub async fn join_at_last(self, settings: DomainSettings) {
        let mut pause = RETRY_MIN;
        while let Err(error) = self.join(&settings).await {
            tracing::warn!(%error, "serving misses only, until Redis and NATS can be reached");
            self.readiness.not_ready(error.to_string()).await;
            if error.kind() != Kind::Unavailable {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
        tracing::info!("Redis and NATS have been reached");
    }

    /// Shows what a demo does; the first one counts.
    pub fn show_demo(&self, look: impl Fn() -> Demo + Send + Sync + 'static) {
        self.demo.get_or_init(|| Box::new(look));
    }

    /// One look at the agent.
    pub fn stats(&self) -> Stats {
        let uptime = self.agent.clock.now().since(self.began);
        Stats {
            version: VERSION,
            uptime_ms: millis(uptime),
            not_ready: self.readiness.why_not(),
            leases: self.agent.leases.len(),
            agent: Member::of(&self.watcher, &self.agent.caches),
            demo: self.demo.get().map(|look| look()),
        }
    }

    /// Serves until `stop`, and then drains.
    ///
    /// # Errors
    /// A listener's, when it ends before it was asked to.
    pub async fn serve(
        self,
        doors: Doors,
        drain: Drain,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let grpc = Grpc::new(
            self.agent.clone(),
            self.gate.clone(),
            self.accept.clone(),
            self.callers.clone(),
            self.readiness.reporter(),
        )?;
        let close = CancellationToken::new();
        let close_admin = CancellationToken::new();
        let admin = admin::serve(
            doors.admin,
            self.router(),
            close_admin.clone().cancelled_owned(),
        );
        let admin = tokio::spawn(admin);
        if let Some(door) = doors.scrape {
            tokio::spawn(self.clone().show(door, close_admin.clone()));
        }
        let sweep = tokio::spawn(self.agent.clone().sweep());
        let reread = tokio::spawn(self.callers.clone().reread());
        let mind = tokio::spawn(self.clone().mind());
        let mut servers = JoinSet::new();
        if let Some(door) = doors.unix {
            servers.spawn(grpc.clone().serve_unix(door, close.clone()));
        }
        if let Some(door) = doors.tcp {
            servers.spawn(grpc.serve_tcp(door, close.clone()));
        }
        if let Some(door) = doors.resp {
            let (agent, callers) = (self.agent.clone(), self.callers.clone());
            let counts = self.resp.clone();
            servers.spawn(door::serve(door, agent, callers, counts, close.clone()));
        }
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            Some(ended) = servers.join_next() => Err(early(ended)),
        };
        match ended.is_ok() {
            true => self.drain(self.drain_or(drain), &close, &mut servers).await,
            // What else listens has no reason to go on alone.
            false => close.cancel(),
        }
        sweep.abort();
        reread.abort();
        mind.abort();
        self.agent.leases.clear();
        if let Some(domain) = self.agent.caches.domain() {
            let left = tokio::time::timeout(self.leaves_within(), domain.leave()).await;
            if left.is_err() {
                tracing::error!("the domain was not left in order: its servers do not answer");
            }
        }
        close_admin.cancel();
        // The admin listener has nothing to lose: it is not waited for in vain.
        let _ = tokio::time::timeout(RETRY_MIN, admin).await;
        ended
    }

    /// How long it takes to leave the domain at most.
    pub fn leaves_within(&self) -> Duration {
        LEAVE + self.agent.caches.longest_write()
    }

    /// Says whether invalidations can be told, for ever.
    async fn mind(self) {
        let mut turn = tokio::time::interval(MIND);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            if let Some(domain) = self.agent.caches.domain() {
                self.readiness.heard(domain.voice().is_heard()).await;
            }
        }
    }

    /// Says that the end is near, serves on for the delay, and then lets what runs
    /// come to its end.
    async fn drain(
        &self,
        drain: Drain,
        close: &CancellationToken,
        servers: &mut JoinSet<io::Result<()>>,
    ) {
        self.readiness.not_ready("draining").await;
        tracing::info!(?drain.delay, "draining: still serving");
        tokio::time::sleep(drain.delay).await;
        close.cancel();
        // Streams have no end of their own.
        self.agent.closing.cancel();
        let ending = async {
            while servers.join_next().await.is_some() {}
            self.agent.tasks.close();
            self.agent.tasks.wait().await;
        };
        match tokio::time::timeout(drain.timeout, ending).await {
            Ok(()) => tracing::info!("drained: nothing runs any more"),
            Err(_) => {
                tracing::warn!(?drain.timeout, "calls still ran when the time to drain was up")
            }
        }
    }

    /// Shows others how it does, and nothing else.
    async fn show(self, door: TcpListener, close: CancellationToken) {
        let shown = Common {
            // A look asks all of L2, which is not for everybody.
            look: admin::no_parts(),
            ..self.common()
        };
        let served = admin::serve(door, shown.router(), close.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "metrics can no longer be read from elsewhere");
        }
    }

    /// How it does, for whoever asks.
    fn common(&self) -> Common {
        let readiness = self.readiness.clone();
        let (agent, turn) = (self.agent.clone(), Arc::new(tokio::sync::Mutex::new(())));
        Common {
            registry: self.registry.clone(),
            not_ready: Arc::new(move || readiness.why_not()),
            look: Arc::new(move || {
                let (agent, turn) = (agent.clone(), turn.clone());
                Box::pin(async move {
                    // One at a time: a look asks all of L2.
                    let _turn = turn.lock().await;
                    parts::look(&agent).await
                })
            }),
        }
    }

    fn router(&self) -> axum::Router {
        let app = self.clone();
        let look: Arc<dyn Fn() -> Stats + Send + Sync> = Arc::new(move || app.stats());
        let admin = Admin {
            agent: self.agent.clone(),
            callers: self.callers.clone(),
            look: look.clone(),
        };
        let looked = Looked {
            look,
            registry: self.registry.clone(),
            agent: self.agent.clone(),
            callers: self.callers.clone(),
        };
        self.common()
            .router()
            .merge(page::router(looked))
            .merge(admin.router())
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

/// A server that ended although nobody asked it to.
fn early(ended: Result<io::Result<()>, tokio::task::JoinError>) -> io::Error {
    match ended {
        Ok(Ok(())) => io::Error::other("a listener was closed"),
        Ok(Err(error)) => error,
        Err(error) => io::Error::other(error),
    }
}
