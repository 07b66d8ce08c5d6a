//! The configuration file, read again by the program at SIGHUP.

use crate::callers::{forbidden, invalid, with};
use crate::process::{agent, http, settings, signal, try_http};
use crate::world::{Client, get, refusal};
use cache_agent::proto::v1;
use cache_core::testkit::manager::FakeManager;
use cache_core::testkit::until::until;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Child;
use tokio_stream::StreamExt;
use tonic::{Code, Status, Streaming};

const WITHIN: Duration = Duration::from_secs(20);

/// The program, and all that is heard of it.
struct Bench {
    folder: TempDir,
    file: PathBuf,
    /// The file as it was at first, without identities.
    text: String,
    admin: SocketAddr,
    child: Child,
    manager: FakeManager,
    client: Client,
}

impl Bench {
    /// With these identities, and nothing behind it.
    async fn start(identities: &[&str]) -> Self {
        let (folder, manager) = (TempDir::new().expect("a folder"), FakeManager::new());
        let manager = manager.expect("a socket");
        let (redis, nats) = ("redis://127.0.0.1:1", "nats://u:secret@127.0.0.1:1");
        let (name, admin) = settings(folder.path(), redis, nats, "degraded");
        let more = "[listen]\nwatch_heartbeat = '100ms'\nstreams_max = 1\n";
        let text = fs::read_to_string(&name).expect("the file");
        let text = text.replace("[listen]\n", more);
        fs::write(&name, file(&text, identities, folder.path())).expect("the file");
        let log = fs::File::create(folder.path().join("log")).expect("a file");
        let child = agent(&["serve", "--config", &name])
            .env("NOTIFY_SOCKET", manager.path())
            .stderr(log)
            .spawn()
            .expect("the program runs");
        manager.hears("READY=1", WITHIN).await.expect("it serves");
        let up = || async { try_http(admin, "/live").await.is_some() };
        until(WITHIN, "the agent is up", up).await.expect("it does");
        let socket = format!("unix://{}/agent.sock", folder.path().display());
        Self {
            file: name.into(),
            client: Client::connect(&socket).await,
            folder,
            text,
            admin,
            child,
            manager,
        }
    }

    /// Writes the file anew and has it read, until so many reloads ended like this.
    async fn reload(&self, text: &str, outcome: &str, count: u32) {
        fs::write(&self.file, text).expect("the file");
        signal(&self.child, "HUP").await;
        let line = format!("cacheaside_config_reloads_total{{outcome=\"{outcome}\"}} {count}\n");
        let counted = || async { http(self.admin, "/metrics").await.1.contains(&line) };
        until(WITHIN, &line, counted).await.expect("it ended so");
        let last = format!(
            "cacheaside_config_last_reload_successful {}\n",
            u8::from(outcome != "refused")
        );
        let (_, metrics) = http(self.admin, "/metrics").await;
        assert!(metrics.contains(&last), "{metrics}");
    }

    /// What the file would say then.
    fn with(&self, identities: &[&str]) -> String {
        file(&self.text, identities, self.folder.path())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("the log")
    }

    async fn get(&self, name: &str) -> Result<(), Status> {
        let request = with(&token(name), get("user:1"));
        self.client.cache.clone().get(request).await.map(drop)
    }

    async fn watch(&self, name: &str) -> Result<Streaming<v1::WatchResponse>, Status> {
        let request = with(&token(name), v1::WatchRequest::default());
        let opened = self.client.invalidation.clone().watch(request).await;
        opened.map(tonic::Response::into_inner)
    }
}

fn token(name: &str) -> String {
    format!("the-token-of-{name}")
}

/// A file with these identities, written as `NAME` or `NAME may not set`; each has a token.
fn file(text: &str, identities: &[&str], folder: &Path) -> String {
    let mut text = text.to_owned();
    for said in identities {
        let (name, rest) = said.split_once(' ').unwrap_or((said, ""));
        let path = folder.join(name);
        fs::write(&path, token(name)).expect("a file");
        text += &format!("[[identity]]\nname = '{name}'\ntoken_file = {path:?}\n{rest}\n");
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_lets_others_in_and_those_who_are_gone_out() {
    let bench = Bench::start(&["shop", "till"]).await;
    bench.get("shop").await.expect("a miss");
    assert_eq!(refusal(bench.get("bank").await), invalid());
    let mut watch = bench.watch("till").await.expect("a watch");
    watch.next().await.expect("it is open").expect("a greeting");

    let text = bench.with(&["bank", "till"]);
    bench.reload(&text, "applied", 1).await;
    bench.get("bank").await.expect("a miss");
    assert_eq!(refusal(bench.get("shop").await), invalid());
    watch.next().await.expect("it is open").expect("it goes on");

    let text = bench.with(&["bank", "till may = ['fill']"]);
    bench.reload(&text, "applied", 2).await;
    assert_eq!(refusal(bench.get("till").await), forbidden());
    let ended = async {
        loop {
            if let Err(status) = watch.next().await.expect("an error comes first") {
                return status;
            }
        }
    };
    let ended = tokio::time::timeout(WITHIN, ended).await;
    let ended = Err::<(), _>(ended.expect("it ends"));
    assert_eq!(refusal(ended), forbidden());

    // Without any identity nobody would be asked; and whoever came unasked would stay.
    bench.reload(&bench.text, "partly", 1).await;
    assert_eq!(refusal(bench.get("shop").await), invalid());
    assert!(bench.log().contains("needs a restart: identity; "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_reload_cannot_change_is_named_and_stays() {
    let bench = Bench::start(&["shop"]).await;
    let _first = bench.watch("shop").await.expect("a watch");
    let overloaded = (Code::ResourceExhausted, "OVERLOADED".to_owned());
    assert_eq!(refusal(bench.watch("shop").await), overloaded);
    let text = bench
        .with(&["shop"])
        .replace("streams_max = 1", "streams_max = 2")
        .replace("redis://127.0.0.1:1", "redis://127.0.0.1:2")
        .replace("name = 'users'", "name = 'users'\nttl = '1m'");
    bench.reload(&text, "partly", 1).await;
    let log = bench.log();
    assert!(
        log.contains("needs a restart: cache.users.ttl, l2.urls; the rest is in effect"),
        "{log}"
    );
    let _second = bench.watch("shop").await.expect("there is room");
    assert_eq!(refusal(bench.watch("shop").await), overloaded);
    // It is said until it is so.
    bench.reload(&text, "partly", 2).await;
    let text = bench.with(&["shop"]).replace(":secret@", ":tecres@");
    bench.reload(&text, "partly", 3).await;
    let log = bench.log();
    assert!(
        log.contains("needs a restart: a login in l2 or bus;"),
        "{log}"
    );
    assert!(!log.contains("secret") && !log.contains("tecres"), "{log}");
    let back = bench.with(&["shop"]);
    bench.reload(&back, "applied", 1).await;
    let ready = |told: &[String]| told.iter().filter(|it| *it == "READY=1").count();
    let all = || async { ready(&bench.manager.told()) == 5 };
    until(Duration::from_secs(10), "the manager is told", all)
        .await
        .unwrap();
    let told = bench.manager.told();
    let begun = |it: &&String| it.starts_with("RELOADING=1\nMONOTONIC_USEC=");
    assert_eq!(told.iter().filter(begun).count(), 4, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_file_changes_nothing_and_every_problem_is_told() {
    let mut bench = Bench::start(&["shop"]).await;
    let wrong = bench
        .with(&["bank"])
        .replace("streams_max = 1", "streams_max = 0")
        .replace("name = 'users'", "nam = 'users'");
    bench.reload(&wrong, "refused", 1).await;
    let log = bench.log();
    assert!(log.contains("`streams_max`"), "{log}");
    assert!(log.contains("did you mean `name`?"), "{log}");
    bench.get("shop").await.expect("as before");
    assert_eq!(refusal(bench.get("bank").await), invalid());

    let gone = bench.with(&["shop", "bank"]);
    fs::remove_file(bench.folder.path().join("bank")).expect("it is there");
    bench.reload(&gone, "refused", 2).await;
    assert!(
        bench.log().contains("/bank` cannot be read: No such file"),
        "{}",
        bench.log()
    );
    bench.get("shop").await.expect("as before");

    let silent = format!("log = 'off'\n{}", bench.with(&["shop"]));
    bench.reload(&silent, "applied", 1).await;
    let before = bench.log();
    bench.reload(&wrong, "refused", 3).await;
    assert_eq!(bench.log(), before, "nothing is logged any more");
    let again = bench.with(&["shop"]);
    bench.reload(&again, "applied", 2).await;
    bench.reload(&wrong, "refused", 4).await;
    assert!(bench.log().len() > before.len());
    let nonsense = format!("log = 'what,is=this=then'\n{}", bench.with(&["shop"]));
    bench.reload(&nonsense, "refused", 5).await;
    assert!(bench.log().contains("is no filter"));
    signal(&bench.child, "TERM").await;
    assert_eq!(bench.child.wait().await.expect("it ended").code(), Some(0));
}
