//! The invalidator as a whole, with the rights of the manual and no others.

use super::{certificates, shown};
use crate::world::{RULES, until, update};
use async_nats::jetstream::consumer::pull::Config as Consumer;
use async_nats::jetstream::stream::Config;
use cache_core::access::{Identity, Tls};
use cache_core::bus::server::NatsAt;
use cache_core::testkit::certificates::Certificates;
use cache_core::testkit::servers::nats::{NatsServer, tls};
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::{Error, Kind};
use invalidator::app::App;
use invalidator::config;
use invalidator::source::Link;
use std::net::Ipv4Addr;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const MANUAL: &str = include_str!("../../../../cache-core/docs/security.md");

/// The text block of the manual that begins with `authorization`, and whoever else comes
/// may do anything.
fn rights() -> String {
    let mut blocks = MANUAL.split("```text\n").skip(1);
    let block = blocks.find(|block| block.starts_with("authorization"));
    let block = block.and_then(|block| block.split("```").next());
    let block = block.expect("the manual has it");
    let open = block.replace("users = [", "users = [\n    { user: any, password: any }");
    format!("{open}no_auth_user: any\n")
}

async fn redis(certificates: &Certificates) -> RedisServer {
    let redis = RedisServer::start_tls(&certificates.asking()).await;
    let redis = redis.expect("a Redis");
    grant(&redis).await;
    redis
}

/// What Redis forgets when it is restarted.
async fn grant(redis: &RedisServer) {
    let line = MANUAL.lines();
    let line = line
        .filter_map(|line| line.strip_prefix("user cacheaside "))
        .next();
    let rights = line.expect("the manual has it").split_whitespace();
    let user = ["ACL", "SETUSER", "cacheaside", "reset"].into_iter();
    let user: Vec<_> = user.chain(rights).collect();
    redis.command::<()>(&user).await.expect("it makes users");
}

async fn is_marked(redis: &RedisServer, key: &str) -> bool {
    let keys = redis
        .command::<Vec<String>>(&["KEYS", &format!("*{key}")])
        .await;
    !keys.expect("Redis is up").is_empty()
}

/// Until so many events are done.
async fn done(link: &Link, events: u64) {
    until("they are done", async || {
        let stream = link.context.get_stream("CDC").await.expect("it is there");
        let consumer = stream.get_consumer::<Consumer>("invalidator").await;
        let info = consumer.expect("it is there").cached_info().clone();
        info.ack_floor.stream_sequence == events
    })
    .await;
}

async fn published(link: &Link, payload: String) {
    let stored = link.context.publish("cdc.public.users", payload.into());
    let stored = stored.await.expect("NATS is up").await;
    stored.expect("it is stored");
}

fn file(
    redis: &RedisServer,
    nats: &NatsServer,
    certificates: &Certificates,
    as_user: &str,
) -> String {
    let files = format!(
        "tls_ca = '{}'\n{}",
        certificates.ca().display(),
        shown(&certificates.client())
    );
    let in_redis = redis.tls_url().replace("//", "//cacheaside:change-me@");
    let in_nats = nats.url().replace("//", &format!("//{as_user}@"));
    format!(
        "[l2]\nkind = 'single'\ntimeout = '2s'\nurls = ['{in_redis}']\n{files}\
         [bus]\nurl = '{in_nats}'\n{files}"
    )
}

async fn opened(text: &str) -> Result<App, Error> {
    let service = config::service("service.toml", text, &[]).expect("a good file");
    let rules = config::rules(
        "rules.toml",
        &RULES
            .replace("create_stream = true", "")
            .replace("subjects = ['cdc.>']", ""),
    )
    .expect("good rules");
    App::open(service, rules).await
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    async fn start(app: App) -> Self {
        let admin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let stop = CancellationToken::new();
        Self {
            task: tokio::spawn(app.run(admin.expect("a port"), stop.clone())),
            stop,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic").expect("no error");
    }
}

async fn nats(certificates: &Certificates) -> (NatsServer, Link) {
    let configuration = format!("{}{}", tls(&certificates.asking()), rights());
    let nats = NatsServer::start_with(&configuration)
        .await
        .expect("a NATS");
    let client = certificates.client();
    let any = NatsAt {
        tls: Some(Tls {
            ca: Some(certificates.ca()),
            identity: Some(Identity {
                cert: client.cert,
                key: client.key,
            }),
            name: None,
        }),
        ..nats.url().into()
    };
    let link = Link::connect(&any, "test")
        .await
        .expect("anybody is let in");
    let stream = Config {
        name: "CDC".to_owned(),
        subjects: vec!["cdc.>".to_owned()],
        ..Config::default()
    };
    link.context
        .create_stream(stream)
        .await
        .expect("NATS is up");
    (nats, link)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidator_works_over_tls_with_the_rights_of_the_manual() {
    let certificates = certificates();
    let redis = redis(&certificates).await;
    let (nats, link) = nats(&certificates).await;

    let text = file(&redis, &nats, &certificates, "invalidator:change-me");
    let app = opened(&text).await.expect("it is let in");
    let running = Running::start(app).await;
    published(&link, update(7)).await;
    published(&link, "no event".to_owned()).await;
    done(&link, 2).await;
    assert!(is_marked(&redis, "user:7").await);
    until("the other is a letter", async || {
        let letters = link.context.get_stream("CACHEASIDE_DLQ").await;
        letters.is_ok_and(|letters| letters.cached_info().state.messages == 1)
    })
    .await;

    // What L2 loses, the next one reads again.
    redis.save().await.expect("it has a disk");
    published(&link, update(8)).await;
    done(&link, 3).await;
    assert!(is_marked(&redis, "user:8").await);
    running.stop().await;
    redis.kill9();
    redis.restart().await.expect("it comes up");
    grant(&redis).await;
    assert!(!is_marked(&redis, "user:8").await);
    let app = opened(&text).await.expect("it is let in");
    assert!(is_marked(&redis, "user:8").await);
    Running::start(app).await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidator_that_is_not_let_in_says_what_it_lacks() {
    let certificates = certificates();
    let redis = redis(&certificates).await;
    let (nats, _) = nats(&certificates).await;

    let text = file(&redis, &nats, &certificates, "invalidator:change-me");
    let wrong = file(&redis, &nats, &certificates, "invalidator:wrong");
    let refused = opened(&wrong).await.expect_err("it is not let in");
    assert_eq!(refused.kind(), Kind::Unavailable);
    assert!(
        refused
            .to_string()
            .contains("are the user and the password right?"),
        "{refused}"
    );
    let bare = text
        .lines()
        .filter(|line| !line.starts_with("tls_cert") && !line.starts_with("tls_key"));
    let bare: String = bare.map(|line| format!("{line}\n")).collect();
    let refused = opened(&bare).await.expect_err("it is not let in");
    assert!(refused.to_string().contains("`tls_cert`"), "{refused}");
}
