//! Two agents of one domain, of which one ends.

use crate::process::{agent, http, settings, signal, try_http};
use crate::world::{Client, Got, get, hit};
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::testkit::until::{until, until_some};
use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Child;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const WITHIN: Duration = Duration::from_secs(20);

struct Servers {
    redis: RedisServer,
    nats: NatsServer,
}

/// An agent's process.
struct Running {
    child: Child,
    socket: String,
    _folder: TempDir,
}

impl Servers {
    async fn start() -> Self {
        let servers = tokio::join!(RedisServer::start(), NatsServer::start());
        Self {
            redis: servers.0.expect("a Redis"),
            nats: servers.1.expect("a NATS"),
        }
    }

    /// Starts an agent that serves on for so long; ready on return.
    async fn agent(&self, delay: &str) -> Running {
        let folder = TempDir::new().expect("a folder");
        let (file, admin) = settings(folder.path(), &self.redis.url(), &self.nats.url(), "refuse");
        let text = fs::read_to_string(&file).expect("the file");
        let delay = format!("delay = '{delay}'");
        fs::write(&file, text.replace("delay = '0ms'", &delay)).expect("the file");
        let child = agent(&["serve", "--config", &file])
            .stderr(Stdio::null())
            .spawn()
            .expect("the program runs");
        let ready = || async {
            let up = try_http(admin, "/live").await.is_some();
            up && http(admin, "/ready").await.0 == 200
        };
        until(WITHIN, "the agent is ready", ready)
            .await
            .expect("it is");
        Running {
            child,
            socket: format!("unix://{}/agent.sock", folder.path().display()),
            _folder: folder,
        }
    }
}

impl Running {
    async fn client(&self) -> Client {
        Client::connect(&self.socket).await
    }

    async fn ended_by(mut self, name: &str) -> Option<i32> {
        signal(&self.child, name).await;
        self.child.wait().await.expect("it ended").code()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_of_an_agent_that_ends_are_granted_to_others_at_once() {
    let servers = Servers::start().await;
    for (name, code) in [("TERM", Some(0)), ("INT", Some(0))] {
        let (first, second) = tokio::join!(servers.agent("0ms"), servers.agent("0ms"));
        let (holder, other) = (first.client().await, second.client().await);
        let key = format!("user:{name}");
        holder.lease(&key).await;
        assert_eq!(other.get(&key).await, Got::Busy, "it is out");
        assert_eq!(first.ended_by(name).await, code);
        let asked = Instant::now();
        let got = other.get(&key).await;
        assert!(matches!(got, Got::Lease(_)), "{got:?}");
        // A lease lasts for seconds.
        assert!(asked.elapsed() < Duration::from_secs(1));
    }
    // The control: nobody gives back what an agent held that was killed.
    let (first, second) = tokio::join!(servers.agent("0ms"), servers.agent("0ms"));
    let (holder, other) = (first.client().await, second.client().await);
    holder.lease("user:kill").await;
    assert_eq!(first.ended_by("KILL").await, None);
    assert_eq!(other.get("user:kill").await, Got::Busy);
    let again = || async { matches!(other.get("user:kill").await, Got::Lease(_)).then_some(()) };
    let within = Duration::from_secs(40);
    until_some(within, "the lease runs out", again)
        .await
        .expect("it does");
}

/// One of the agents, as a client sees it that follows its health.
struct Followed {
    client: Client,
    serves: Arc<AtomicBool>,
    answered: AtomicUsize,
}

impl Followed {
    async fn new(agent: &Running, following: &mut JoinSet<()>) -> Self {
        let client = agent.client().await;
        let serves = Arc::new(AtomicBool::new(true));
        let request = HealthCheckRequest::default();
        let watch = HealthClient::new(client.channel.clone())
            .watch(request)
            .await;
        let (mut said, told) = (watch.expect("a watch").into_inner(), serves.clone());
        following.spawn(async move {
            while let Some(Ok(said)) = said.next().await {
                let serves = said.status() == ServingStatus::Serving;
                told.store(serves, Ordering::SeqCst);
            }
            told.store(false, Ordering::SeqCst);
        });
        Self {
            client,
            serves,
            answered: AtomicUsize::new(0),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_follow_health_see_no_error_when_an_agent_ends() {
    const REQUESTS: usize = 10_000;
    const CLIENTS: usize = 8;
    let servers = Servers::start().await;
    let (first, second) = tokio::join!(servers.agent("500ms"), servers.agent("500ms"));
    second.client().await.store("user:1", "Ada").await;
    let (mut clients, mut following) = (JoinSet::new(), JoinSet::new());
    let (taken, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (left, stayed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..CLIENTS {
        let one = Followed::new(&first, &mut following).await;
        let two = Followed::new(&second, &mut following).await;
        let (taken, failed) = (taken.clone(), failed.clone());
        let (left, stayed) = (left.clone(), stayed.clone());
        clients.spawn(async move {
            while taken.fetch_add(1, Ordering::SeqCst) < REQUESTS {
                let to = match one.serves.load(Ordering::SeqCst) {
                    true => &one,
                    false => &two,
                };
                match to.client.try_get(get("user:1")).await {
                    Ok(got) if got == hit("Ada") => to.answered.fetch_add(1, Ordering::SeqCst),
                    other => {
                        println!("{other:?}");
                        failed.fetch_add(1, Ordering::SeqCst)
                    }
                };
            }
            left.fetch_add(one.answered.load(Ordering::SeqCst), Ordering::SeqCst);
            stayed.fetch_add(two.answered.load(Ordering::SeqCst), Ordering::SeqCst);
        });
    }
    let half = || async { taken.load(Ordering::SeqCst) > REQUESTS / 3 };
    until(WITHIN, "a third is done", half).await.expect("it is");
    let ended = first.ended_by("TERM").await;
    clients.join_all().await;
    let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
    println!(
        "{} from the first, {} from the second",
        count(&left),
        count(&stayed)
    );
    assert_eq!((count(&failed), ended), (0, Some(0)));
    assert_eq!(count(&left) + count(&stayed), REQUESTS);
    assert!(count(&left) > REQUESTS / 3 && count(&stayed) > 0);
}
