//! Sends calls to the node that serves their bucket, and follows the deployment
//! when it changes: on a redirect, on a timeout, on a broken connection.
//!
//! One node's trouble stays its own: every node has its own connection, calls to a
//! node that is down fail at once, and no call is retried more than one redirect
//! or one script upload. Whoever needs more repeats the whole step.

use super::directory::{Directory, Topology};
use super::node::Node;
use super::script::Call;
use crate::model::key::{Bucket, Name};
use crate::tier::RemoteError;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// The most commands in one pipeline: keeps the answers of a batch from delaying
/// single reads on the same connection.
const PIPELINE_MAX: usize = 256;
/// How often the owners are asked for without any sign of trouble.
const REFRESH_EVERY: Duration = Duration::from_secs(10);
/// The shortest time between two refreshes, however much trouble there is.
const REFRESH_PAUSE: Duration = Duration::from_millis(100);

/// Calls by bucket.
#[derive(Debug)]
pub(super) struct Router {
    shared: Arc<Shared>,
    _watch: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    domain: Name,
    directory: Directory,
    timeout: Duration,
    topology: ArcSwap<Topology>,
    /// The buckets that changed their node and were not asked about since.
    moved: Mutex<HashSet<Bucket>>,
    trouble: Notify,
}

impl Router {
    /// Finds the deployment; an answer of one node is enough.
    ///
    /// # Errors
    /// Why nobody answers, as far as somebody says.
    pub(super) async fn connect(
        domain: Name,
        directory: Directory,
        timeout: Duration,
    ) -> Result<Self, Option<RedisError>> {
        let shared = Arc::new(Shared {
            domain,
            directory,
            timeout,
            topology: ArcSwap::from_pointee(Topology::empty()),
            moved: Mutex::default(),
            trouble: Notify::new(),
        });
        if !shared.refresh().await || !shared.anybody_answers().await {
            return Err(shared.why().await);
        }
        let watch = tokio::spawn(watch(shared.clone()));
        Ok(Self {
            shared,
            _watch: AbortOnDropHandle::new(watch),
        })
    }

    /// The buckets that changed their node since this was last asked.
    pub(super) fn moved(&self) -> Vec<Bucket> {
        self.shared.moved.lock().drain().collect()
    }

    /// Sends one call.
    pub(super) async fn call(&self, bucket: Bucket, call: &Call) -> Result<Value, RemoteError> {
        let node = self.node(bucket)?;
        let mut pipe = redis::pipe();
        pipe.add_command(call.command()).ignore_errors();
        let answer = match node.send(&pipe).await {
            Ok(answers) => answers.into_iter().next().unwrap_or(Ok(Value::Nil)),
            Err(error) => Err(error),
        };
        match answer {
            Ok(value) => Ok(value),
            Err(error) => self.follow(&node, call, error).await,
        }
    }

    /// Sends many calls, each node's as a pipeline, all nodes at once; the answers
    /// come in the order of the request.
    pub(super) async fn call_many(
        &self,
        calls: Vec<(Bucket, Call)>,
    ) -> Vec<Result<Value, RemoteError>> {
        let mut answers: Vec<Option<Result<Value, RemoteError>>> =
            calls.iter().map(|_| None).collect();
        let mut by_node: HashMap<String, (Arc<Node>, Vec<usize>)> = HashMap::new();
        for (at, (bucket, _)) in calls.iter().enumerate() {
            match self.node(*bucket) {
                Ok(node) => {
                    let key = node.address().to_owned();
                    by_node
                        .entry(key)
                        .or_insert_with(|| (node, Vec::new()))
                        .1
                        .push(at);
                }
                Err(error) => answers[at] = Some(Err(error)),
            }
        }
        let calls = &calls;
        let parts = by_node.into_values().flat_map(|(node, places)| {
            let parts: Vec<_> = places.chunks(PIPELINE_MAX).map(<[usize]>::to_vec).collect();
            parts.into_iter().map(move |places| (node.clone(), places))
        });
        let sent = parts.map(|(node, places)| async move {
            let part: Vec<&Call> = places.iter().map(|&at| &calls[at].1).collect();
            (self.send_part(&node, &part).await, places)
        });
        for (part, places) in futures_util::future::join_all(sent).await {
            for (at, answer) in places.into_iter().zip(part) {
                answers[at] = Some(answer);
            }
        }
        let answers = answers.into_iter();
        answers
            .map(|answer| answer.unwrap_or_else(|| Err(no_answer())))
            .collect()
    }

    async fn send_part(&self, node: &Arc<Node>, part: &[&Call]) -> Vec<Result<Value, RemoteError>> {
        let mut pipe = redis::pipe();
        for call in part {
            pipe.add_command(call.command());
        }
        pipe.ignore_errors();
        let answers: Vec<RedisResult<Value>> = match node.send(&pipe).await {
            Ok(answers) => answers,
            Err(error) => {
                let error = self.give_up(node, &error);
                return part.iter().map(|_| Err(error.clone())).collect();
            }
        };
        let mut settled = Vec::with_capacity(part.len());
        let mut open = Vec::new();
        for (call, answer) in part.iter().zip(answers) {
            settled.push(match answer {
                Ok(value) => Ok(value),
                Err(error) => {
                    let at = settled.len();
                    open.push(async move { (at, self.follow(node, call, error).await) });
                    Err(no_answer())
                }
            });
        }
        // Only what failed is worth a future: nearly every answer is there already.
        for (at, answer) in futures_util::future::join_all(open).await {
            settled[at] = answer;
        }
        settled
    }

    /// Follows a refusal once to where it points.
    async fn follow(
        &self,
        node: &Arc<Node>,
        call: &Call,
        error: RedisError,
    ) -> Result<Value, RemoteError> {
        let (node, pipe) = match error.kind() {
            ErrorKind::Server(ServerErrorKind::NoScript) => {
                let mut pipe = redis::pipe();
                pipe.add_command(call.command_with_source());
                (node.clone(), pipe)
            }
            ErrorKind::Server(kind @ (ServerErrorKind::Moved | ServerErrorKind::Ask)) => {
                self.shared.trouble.notify_one();
                let Some(node) = self.redirected(&error) else {
                    return Err(self.give_up(node, &error));
                };
                let mut pipe = redis::pipe();
                if kind == ServerErrorKind::Ask {
                    // In one pipeline: on a shared connection another task's
                    // command could otherwise use up the permission.
                    pipe.cmd("ASKING");
                }
                // The other node may not know the script; its source fits all.
                pipe.add_command(call.command_with_source());
                (node, pipe)
            }
            _ => return Err(self.give_up(node, &error)),
        };
        let mut pipe = pipe;
        pipe.ignore_errors();
        match node.send(&pipe).await.map(|mut answers| answers.pop()) {
            Ok(Some(Ok(value))) => Ok(value),
            Ok(Some(Err(error))) | Err(error) => Err(self.give_up(&node, &error)),
            Ok(None) => Err(no_answer()),
        }
    }

    fn node(&self, bucket: Bucket) -> Result<Arc<Node>, RemoteError> {
        let topology = self.shared.topology.load();
        match topology.node(bucket) {
            Some(node) if node.is_down() => Err(RemoteError::Down(node.address().to_owned())),
            Some(node) => Ok(node.clone()),
            None => {
                self.shared.trouble.notify_one();
                Err(RemoteError::Down("of an unserved slot".to_owned()))
            }
        }
    }

    /// The node an answer points to, if the topology knows it. A new one is
    /// learned by the refresh that the redirect has set off.
    fn redirected(&self, error: &RedisError) -> Option<Arc<Node>> {
        let (address, _) = error.redirect_node()?;
        self.shared.topology.load().nodes.get(address).cloned()
    }

    fn give_up(&self, node: &Node, error: &RedisError) -> RemoteError {
        if error.is_timeout() {
            // A hung node answers nobody: only asking the others reveals that it
            // has been replaced.
            self.shared.trouble.notify_one();
            return RemoteError::Timeout;
        }
        let stays = matches!(
            error.kind(),
            ErrorKind::Server(
                ServerErrorKind::ResponseError
                    | ServerErrorKind::CrossSlot
                    | ServerErrorKind::NoPerm
            )
        );
        if !stays {
            self.shared.trouble.notify_one();
        }
        RemoteError::Failed(format!("{}: {error}", node.address()))
    }
}

impl Shared {
    /// Asks for the owners; whether anybody answered.
    async fn refresh(&self) -> bool {
        let current = self.topology.load_full();
        match self
            .directory
            .discover(&self.domain, &current, self.timeout)
            .await
        {
            Some(next) => {
                self.moved.lock().extend(current.moved_to(&next));
                self.topology.store(Arc::new(next));
                true
            }
            None => false,
        }
    }

    /// Whether any node answers; a fixed address is not asked for by `refresh`.
    async fn anybody_answers(&self) -> bool {
        let nodes: Vec<_> = self.topology.load().nodes.values().cloned().collect();
        let answers = futures_util::future::join_all(nodes.iter().map(|node| node.revive()));
        answers.await.contains(&true)
    }

    /// Why nobody answers.
    async fn why(&self) -> Option<RedisError> {
        if let Some(error) = self.directory.trouble(self.timeout).await {
            return Some(error);
        }
        let nodes: Vec<_> = self.topology.load().nodes.values().cloned().collect();
        for node in nodes {
            if let Err(error) = node.ping().await {
                return Some(error);
            }
        }
        None
    }

    fn down(&self) -> Vec<Arc<Node>> {
        let topology = self.topology.load();
        topology
            .nodes
            .values()
            .filter(|node| node.is_down())
            .cloned()
            .collect()
    }
}

fn no_answer() -> RemoteError {
    RemoteError::Failed("no answer".to_owned())
}

/// Follows the deployment, for ever.
async fn watch(shared: Arc<Shared>) {
    // Beside each other: asking a hung node whether it lives takes as long as it may
    // answer, and meanwhile the others may name its successor.
    futures_util::future::join(follow(&shared), revive(&shared)).await;
}

/// Asks for the owners on trouble, and as long as a node is down.
async fn follow(shared: &Shared) {
    loop {
        let patience = if shared.down().is_empty() {
            REFRESH_EVERY
        } else {
            REFRESH_PAUSE
        };
        let _ = tokio::time::timeout(patience, shared.trouble.notified()).await;
        shared.refresh().await;
        // Trouble often shows a moment before its cause does.
        tokio::time::sleep(REFRESH_PAUSE).await;
        shared.refresh().await;
    }
}

/// Asks nodes that are down whether they live again.
async fn revive(shared: &Shared) {
    loop {
        let down = shared.down();
        futures_util::future::join_all(down.iter().map(|node| node.revive())).await;
        tokio::time::sleep(REFRESH_PAUSE).await;
    }
}
