//! One process's part in a domain: one order of changes, one L2, one bus, and
//! everything in this process that keeps its caches coherent.

pub mod local;

use crate::bus::Bus;
use crate::clock::{Clock, Tick};
use crate::coherence::announce::Announcer;
use crate::coherence::apply::Applier;
use crate::coherence::heartbeat::{Done, Heart};
use crate::coherence::inspect::{self, SelfCheck, UNTOLD_MAX};
use crate::coherence::listen::{Listener, Proof, Timing};
use crate::coherence::retry::{self, Repeats, Retries};
use crate::coherence::voice::Voice;
use crate::error::{Error, Kind};
use crate::event::Observer;
use crate::guard::fence::Fence;
use crate::guard::horizon::Horizon;
use crate::guard::landmarks::Landmarks;
use crate::guard::owed::Owed;
use crate::guard::trust::Trust;
use crate::model::as_of::AsOf;
use crate::model::key::{Bucket, Name};
use crate::model::landmark::Landmark;
use crate::model::position::Position;
use crate::random::Random;
use crate::tier::Remote;
use crate::wire::invalidation::Violation;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long leaving waits for an L2 that lacks invalidations of this process.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);
/// How long the first round trip over the bus may take.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// What this process does in its domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It reads and writes through caches.
    Member,
    /// It carries the changes of the database to everybody, and beats for all.
    Invalidator,
}

/// What a domain is made of, handed in.
#[derive(Debug)]
pub struct Parts {
    /// The domain's name.
    pub name: Name,
    /// L2.
    pub remote: Arc<dyn Remote>,
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Who is told of everything.
    pub observer: Arc<dyn Observer>,
    /// What this process does.
    pub role: Role,
    /// Whose sign of life lets L1 be trusted.
    pub proof: Proof,
    /// How often and how long.
    pub timing: Timing,
}

/// One process's part in a domain.
#[derive(Debug)]
pub struct Domain {
    name: Name,
    remote: Arc<dyn Remote>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    observer: Arc<dyn Observer>,
    fence: Arc<Fence>,
    horizon: Arc<Horizon>,
    landmarks: Arc<Landmarks>,
    owed: Arc<Owed>,
    trust: Arc<Trust>,
    applier: Arc<Applier>,
    announcer: Arc<Announcer>,
    voice: Arc<Voice>,
    violations: broadcast::Sender<Violation>,
    done: watch::Sender<Option<Done>>,
    timing: Timing,
    retries: Retries,
    behind: mpsc::Sender<Bucket>,
    being_mended: Arc<Mutex<HashSet<Bucket>>>,
    doubts: Arc<Mutex<HashSet<Bucket>>>,
    leaving: CancellationToken,
    seen_off: TaskTracker,
    stop: CancellationToken,
    tasks: TaskTracker,
    runtime: Handle,
}

impl Domain {
    /// Joins: listens before anything is served.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the bus does not carry a round trip.
    pub async fn join(parts: Parts) -> Result<Arc<Self>, Error> {
        let fence = Arc::new(Fence::new());
        let horizon = Arc::new(Horizon::new());
        let owed = Arc::new(Owed::new());
        let applier = Arc::new(Applier::new(
            parts.name.clone(),
            fence.clone(),
            horizon.clone(),
            owed.clone(),
            parts.clock.clone(),
            parts.observer.clone(),
        ));
        let voice = Arc::new(Voice::new(parts.bus.clone(), parts.random.next()));
        let announcer = Arc::new(Announcer::new(
            parts.name.clone(),
            parts.remote.clone(),
            voice.clone(),
            horizon.clone(),
            parts.observer.clone(),
        ));
        let (retries, repeats) = retry::channel();
        let (behind, found) = mpsc::channel(crate::model::key::BUCKETS);
        let domain = Arc::new(Self {
            name: parts.name.clone(),
            remote: parts.remote.clone(),
            clock: parts.clock.clone(),
            random: parts.random.clone(),
            observer: parts.observer.clone(),
            fence,
            horizon,
            landmarks: Arc::new(Landmarks::new()),
            owed,
            trust: Arc::new(Trust::new()),
            applier,
            announcer,
            voice,
            violations: broadcast::Sender::new(UNTOLD_MAX),
            done: watch::Sender::new(None),
            timing: parts.timing,
            retries,
            behind,
            being_mended: Arc::default(),
            doubts: Arc::default(),
            leaving: CancellationToken::new(),
            seen_off: TaskTracker::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
        });
        domain.start(parts, repeats, found).await?;
        Ok(domain)
    }

    async fn start(
        self: &Arc<Self>,
        parts: Parts,
        repeats: Repeats,
        found: mpsc::Receiver<Bucket>,
    ) -> Result<(), Error> {
        let heart = Heart {
            remote: self.remote.clone(),
            voice: self.voice.clone(),
            horizon: self.horizon.clone(),
            observer: self.observer.clone(),
            clock: self.clock.clone(),
            every: parts.timing.heartbeat,
            carries_for: parts.timing.trust,
            doubts: self.doubts.clone(),
        };
        let (untold, told) = mpsc::channel(UNTOLD_MAX);
        let self_check = Arc::new(SelfCheck {
            applier: self.applier.clone(),
            trust: self.trust.clone(),
            clock: self.clock.clone(),
            observer: self.observer.clone(),
            untold,
        });
        self.run(inspect::tell(self.voice.clone(), told));
        let listener = Listener {
            bus: parts.bus,
            applier: self.applier.clone(),
            self_check,
            violations: self.violations.clone(),
            horizon: self.horizon.clone(),
            landmarks: self.landmarks.clone(),
            trust: self.trust.clone(),
            clock: self.clock.clone(),
            observer: self.observer.clone(),
            timing: parts.timing,
            proof: parts.proof,
        };
        let (ready, mut is_ready) = watch::channel(false);
        self.run(async move {
            if let Err(error) = listener.run(ready).await {
                tracing::error!(%error, "the bus cannot be listened to");
            }
        });
        let heard = async {
            // Not the reference it returns: that would lock out the listener.
            is_ready.wait_for(|ready| *ready).await.is_ok()
        };
        if !matches!(tokio::time::timeout(READY_WITHIN, heard).await, Ok(true)) {
            self.stop.cancel();
            let error = Error::new(
                Kind::Unavailable,
                "listening to the bus",
                self.name.as_str(),
            );
            return Err(error.hint("the bus was reached, but its own ping did not come back"));
        }
        if parts.proof == Proof::Echo {
            heart.begin().await;
        }
        self.run(heart.clone().mend(found));
        match parts.role {
            Role::Invalidator => self.run(heart.beat_for_all(self.done.subscribe())),
            Role::Member => self.run(heart.beat_while_announcing()),
        }
        self.run(repeats.run(self.announcer.clone()));
        Ok(())
    }

    /// Runs a task until the domain is left.
    pub fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Runs a task to its end, even while the domain is being left. It must end by
    /// itself, as a step of L2 does.
    pub fn finish(&self, task: impl Future<Output = ()> + Send + 'static) {
        // On the domain's own runtime: what must be finished may be dropped elsewhere.
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Runs a task that leaving waits for, with everything else still running. It must end
    /// by itself soon after [`Domain::leaving`] is cancelled.
    pub(crate) fn see_off(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.seen_off.spawn_on(task, &self.runtime);
    }

    /// Cancelled when the domain is about to be left.
    pub(crate) fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    /// Every change up to `position` is in L2 and on the bus, and more are being
    /// carried: an invalidator's heartbeat says so from here on, and begins with the
    /// first call. It must be said again within the trust's span, even if nothing
    /// changed, or L1s are no longer trusted.
    pub fn done_up_to(&self, position: Position) {
        self.stand_at(position, Some(self.clock.now()));
    }

    /// Every change up to `position` is in L2 and on the bus, and none beyond it is being
    /// carried: the heartbeat goes on, so that lost writes are mended, and tells everybody
    /// at once not to trust L1 for it. For an invalidator that is paused.
    pub fn rests_at(&self, position: Position) {
        self.stand_at(position, None);
    }

    fn stand_at(&self, position: Position, said: Option<Tick>) {
        self.done.send_modify(|done| {
            let before = done.map_or(Position::ZERO, |done| done.position);
            let position = position.max(before);
            *done = Some(Done { position, said });
        });
    }

    /// Tells everybody how far the stream is in its database's log, for those who read
    /// replicas. One that is lost is missed by nobody.
    pub async fn tell_landmark(&self, landmark: Landmark) {
        let _ = self.voice.landmark(landmark).await;
    }

    /// How far a value reaches that was read from a replica: what a loader hands to
    /// [`Loaded::read_at`](crate::source::Loaded::read_at). `replayed` is where the replica
    /// was in its database's log before the read began; with PostgreSQL
    /// `pg_last_wal_replay_lsn() - '0/0'`.
    ///
    /// Place and value are read over one connection, in two statements, each with a snapshot
    /// of its own. What was invalidated without a position is not compared with a replica
    /// before its event comes.
    ///
    /// It needs an invalidator with `landmarks = true`. A value from before every landmark
    /// that this process remembers is used, and not kept.
    pub fn read_at(&self, replayed: u64) -> AsOf {
        self.landmarks.read_at(replayed, self.horizon.seen())
    }

    /// A bucket of L2 may lack a change, whatever its watermark says: an invalidator's next
    /// heartbeat refuses its older values, and tells everybody.
    pub fn doubt(&self, bucket: Bucket) {
        self.doubts.lock().insert(bucket);
    }

    /// A bucket's watermark is behind what this process heard: mends it soon.
    pub fn report_behind(&self, bucket: Bucket) {
        if !self.being_mended.lock().insert(bucket) {
            return;
        }
        let _ = self.behind.try_send(bucket);
        let being_mended = self.being_mended.clone();
        self.run(async move {
            tokio::time::sleep(MEND_PAUSE).await;
            being_mended.lock().remove(&bucket);
        });
    }

    /// Leaves: has what waits to be written written, waits a while for an L2 that lacks invalidations of this process, says
    /// farewell, ends all tasks, and waits for what must be finished, such as leases
    /// given back.
    pub async fn leave(&self) {
        self.leaving.cancel();
        self.seen_off.close();
        self.seen_off.wait().await;
        let lacking = self.retries.drained(LEAVE_PATIENCE).await;
        if lacking > 0 {
            tracing::error!(lacking, "L2 was never told of some invalidations");
        }
        let _ = self.voice.farewell().await;
        let _ = self.voice.flush().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The domain's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// L2.
    pub fn remote(&self) -> &Arc<dyn Remote> {
        &self.remote
    }

    /// Time.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Randomness.
    pub fn random(&self) -> &Arc<dyn Random> {
        &self.random
    }

    /// Who is told of everything.
    pub fn observer(&self) -> &Arc<dyn Observer> {
        &self.observer
    }

    /// The fence of this process.
    pub fn fence(&self) -> &Arc<Fence> {
        &self.fence
    }

    /// What this process has heard.
    pub fn horizon(&self) -> &Arc<Horizon> {
        &self.horizon
    }

    /// What this process has heard of before L2 had it.
    pub fn owed(&self) -> &Arc<Owed> {
        &self.owed
    }

    /// Whether L1 may answer.
    pub fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    /// The door for changes that come in.
    pub fn applier(&self) -> &Arc<Applier> {
        &self.applier
    }

    /// The door for changes that go out.
    pub fn announcer(&self) -> &Arc<Announcer> {
        &self.announcer
    }

    /// How often signs of life are sent, and how long one is believed.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// This process's voice on the bus.
    pub fn voice(&self) -> &Arc<Voice> {
        &self.voice
    }

    /// What inspections find in the L1s of all processes from here on. Whoever is
    /// too slow to hear it misses some.
    pub fn violations(&self) -> broadcast::Receiver<Violation> {
        self.violations.subscribe()
    }
}

/// How long a bucket that was reported is not reported again.
const MEND_PAUSE: Duration = Duration::from_secs(1);

impl Drop for Domain {
    fn drop(&mut self) {
        self.leaving.cancel();
        self.stop.cancel();
    }
}
