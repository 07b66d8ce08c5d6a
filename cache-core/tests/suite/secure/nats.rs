//! NATS with TLS, users, nkeys, credentials and permissions.

use super::{certificates, joined, login, refused, serves, showing, trusting, with_nats};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cache_core::DomainSettings;
use cache_core::Name;
use cache_core::access::{Login, Password, Tls};
use cache_core::bus::server::{NatsAt, NatsLogin};
use cache_core::clock::SystemClock;
use cache_core::connect::BusAt;
use cache_core::queue::nats::{NatsQueue, QueueSettings};
use cache_core::random::SystemRandom;
use cache_core::testkit::contract;
use cache_core::testkit::servers::nats::{NatsServer, tls};
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::testkit::until::until;
use nkeys::KeyPair;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::{NamedTempFile, TempDir};

async fn started(configuration: &str) -> (RedisServer, NatsServer) {
    let redis = RedisServer::start().await.expect("redis-server starts");
    let nats = NatsServer::start_with(configuration).await;
    (redis, nats.expect("nats-server starts"))
}

fn encrypted(nats: &NatsServer, tls: Tls) -> NatsAt {
    NatsAt {
        tls: Some(tls),
        ..nats.url().into()
    }
}

fn whoever(nats: &NatsServer, login: NatsLogin) -> NatsAt {
    NatsAt {
        login,
        ..nats.url().into()
    }
}

#[tokio::test]
async fn nats_with_tls_serves_whoever_trusts_its_authority_and_nobody_else() {
    let certificates = certificates();
    let (redis, nats) = started(&tls(&certificates.guard())).await;
    serves(&with_nats(
        &redis,
        encrypted(&nats, trusting(&certificates)),
    ))
    .await;

    let strangers = Tls {
        ca: Some(certificates.strangers_ca()),
        ..Tls::default()
    };
    for at in [
        encrypted(&nats, strangers),
        encrypted(&nats, Tls::default()),
        nats.url().into(),
    ] {
        let why = refused(&with_nats(&redis, at)).await;
        assert!(why.contains("name its authority in `tls_ca`"), "{why}");
    }
    let (_, plain) = started("").await;
    let at = encrypted(&plain, trusting(&certificates));
    let why = refused(&with_nats(&redis, at)).await;
    assert!(why.contains("TLS"), "{why}");
}

#[tokio::test]
async fn nats_that_asks_for_a_certificate_gets_it() {
    let certificates = certificates();
    let (redis, nats) = started(&tls(&certificates.asking())).await;
    let shown = showing(certificates.client(), trusting(&certificates));
    serves(&with_nats(&redis, encrypted(&nats, shown))).await;

    let bare = encrypted(&nats, trusting(&certificates));
    let why = refused(&with_nats(&redis, bare)).await;
    assert!(why.contains("`tls_cert`"), "{why}");
    let stranger = showing(certificates.stranger(), trusting(&certificates));
    let why = refused(&with_nats(&redis, encrypted(&nats, stranger))).await;
    assert!(why.contains("`tls_cert`"), "{why}");
}

#[tokio::test]
async fn nats_with_another_name_than_its_address_is_refused() {
    let certificates = certificates();
    let mut guard = certificates.guard();
    guard.own = certificates.named();
    let (redis, nats) = started(&tls(&guard)).await;
    let why = refused(&with_nats(
        &redis,
        encrypted(&nats, trusting(&certificates)),
    ))
    .await;
    assert!(why.contains("for another name"), "{why}");
}

#[tokio::test]
async fn a_user_of_nats_may_stand_in_the_address_or_apart() {
    let (redis, nats) = started("authorization { user: cache, password: \"p@ss\" }").await;
    let in_url = nats.url().replace("//", "//cache:p%40ss@");
    serves(&with_nats(&redis, in_url.into())).await;
    let apart = NatsLogin::User(login("cache", "p@ss"));
    serves(&with_nats(&redis, whoever(&nats, apart))).await;
    for at in [
        nats.url().into(),
        whoever(&nats, NatsLogin::User(login("cache", "wrong"))),
    ] {
        let why = refused(&with_nats(&redis, at)).await;
        assert!(
            why.contains("are the user and the password right?"),
            "{why}"
        );
        assert!(!why.contains("wrong"), "{why}");
    }
    let (_, nats) = started("authorization { token: letmein }").await;
    let in_url = nats.url().replace("//", "//letmein@");
    serves(&with_nats(&redis, in_url.into())).await;
}

#[tokio::test]
async fn a_password_of_nats_that_rotates_is_used_by_the_next_connection() {
    let authorization =
        |password: &str| format!("authorization {{ user: cache, password: {password} }}");
    let (redis, nats) = started(&authorization("first")).await;
    let file = NamedTempFile::new().expect("a file");
    fs::write(file.path(), "first\n").expect("it is writable");
    let from_file = Login {
        user: Some("cache".to_owned()),
        password: Password::File(file.path().to_owned()),
    };
    let settings = with_nats(&redis, whoever(&nats, NatsLogin::User(from_file)));
    serves(&settings).await;
    let stays = joined(&settings).await;
    fs::write(file.path(), "second\n").expect("it is writable");
    nats.configure(&authorization("second")).expect("a file");
    nats.restart().await.expect("nats-server starts again");
    serves(&settings).await;
    super::comes_back(&stays).await;
}

#[tokio::test]
async fn an_nkey_lets_in_who_holds_its_seed() {
    let (own, other) = (KeyPair::new_user(), KeyPair::new_user());
    let configuration = format!(
        "authorization {{ users = [ {{ nkey: {} }} ] }}",
        own.public_key()
    );
    let (redis, nats) = started(&configuration).await;
    let file = NamedTempFile::new().expect("a file");
    let at = || whoever(&nats, NatsLogin::Nkey(file.path().to_owned()));
    let write = |seed: &str| fs::write(file.path(), seed).expect("it is writable");
    write(&format!("{}\n", own.seed().expect("a seed")));
    serves(&with_nats(&redis, at())).await;
    write(&other.seed().expect("a seed"));
    let why = refused(&with_nats(&redis, at())).await;
    assert!(
        why.contains("are the user and the password right?"),
        "{why}"
    );
    write("SUNOTASEED");
    let why = refused(&with_nats(&redis, at())).await;
    assert!(
        why.contains("damaged") && !why.contains("SUNOTASEED"),
        "{why}"
    );
}

#[tokio::test]
async fn credentials_let_in_whom_the_account_vouches_for() {
    let operator = KeyPair::new_operator();
    let (account, system) = (KeyPair::new_account(), KeyPair::new_account());
    let claims = |by: &KeyPair, of: &KeyPair, nats: &str| jwt(by, &of.public_key(), nats);
    let limits = r#""limits":{"subs":-1,"conn":-1,"leaf":-1,"imports":-1,"exports":-1,"data":-1,
        "payload":-1,"wildcards":true}"#;
    let of_account = format!(r#"{{"type":"account","version":2,{limits}}}"#);
    let configuration = format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\n\
         resolver_preload: {{\n{}: {}\n{}: {}\n}}\n",
        claims(&operator, &operator, r#"{"type":"operator","version":2}"#),
        system.public_key(),
        account.public_key(),
        claims(&operator, &account, &of_account),
        system.public_key(),
        claims(&operator, &system, &of_account),
    );
    let (redis, nats) = started(&configuration).await;
    let folder = TempDir::new().expect("a folder");
    let creds = folder.path().join("my.creds");
    let at = || whoever(&nats, NatsLogin::Credentials(creds.clone()));
    credentials(&account, &creds);
    serves(&with_nats(&redis, at())).await;
    credentials(&KeyPair::new_account(), &creds);
    let why = refused(&with_nats(&redis, at())).await;
    assert!(
        why.contains("are the user and the password right?"),
        "{why}"
    );
}

/// A user whom `account` vouches for, as `nsc` writes it.
fn credentials(account: &KeyPair, file: &Path) {
    let user = KeyPair::new_user();
    let of_user =
        r#"{"type":"user","version":2,"pub":{},"sub":{},"subs":-1,"data":-1,"payload":-1}"#;
    let jwt = jwt(account, &user.public_key(), of_user);
    let seed = user.seed().expect("a seed");
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    fs::write(file, text).expect("it is writable");
}

fn jwt(by: &KeyPair, subject: &str, nats: &str) -> String {
    let issuer = by.public_key();
    let head = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let claims = format!(
        r#"{{"jti":"1","iat":1700000000,"iss":"{issuer}","name":"it","sub":"{subject}","nats":{nats}}}"#
    );
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = by.sign(signed.as_bytes()).expect("it signs");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The text block of the manual that begins with `authorization`.
fn rights() -> String {
    let manual = include_str!("../../../docs/security.md");
    let mut blocks = manual.split("```text\n").skip(1);
    let block = blocks.find(|block| block.starts_with("authorization"));
    let block = block.and_then(|block| block.split("```").next());
    block.expect("the manual has it").to_owned()
}

#[tokio::test]
async fn the_rights_in_the_manual_are_enough_for_a_member_and_each_of_them_is_needed() {
    let (redis, nats) = started(&rights()).await;
    let at = |nats: &NatsServer| {
        let member = NatsLogin::User(login("member", "change-me"));
        DomainSettings {
            bus: BusAt::Nats {
                at: whoever(nats, member),
                prefix: "cacheaside".to_owned(),
            },
            ..with_nats(&redis, nats.url().into())
        }
    };
    serves(&at(&nats)).await;
    let stays = joined(&at(&nats)).await;

    let without = [
        (
            r#"publish: ["cacheaside.bus.main", "#,
            "publish: [",
            "Publish to",
        ),
        (
            r#"subscribe: ["cacheaside.bus.main", "#,
            "subscribe: [",
            "Subscription to",
        ),
        (
            r#"publish: ["cacheaside.bus.main", "_INBOX.>"]"#,
            r#"publish: ["cacheaside.bus.main"]"#,
            "Publish to",
        ),
        (
            r#"subscribe: ["cacheaside.bus.main", "_INBOX.>"]"#,
            r#"subscribe: ["cacheaside.bus.main"]"#,
            "Subscription to",
        ),
    ];
    for (right, less, lacks) in without {
        assert!(rights().contains(right), "{right}");
        nats.configure(&rights().replace(right, less))
            .expect("a file");
        nats.restart().await.expect("nats-server starts again");
        let why = refused(&at(&nats)).await;
        assert!(
            why.contains(lacks) && why.contains("lacks a right"),
            "{why}"
        );
    }
    // Who loses the right to speak says so, and goes on when it is granted again.
    let lost = rights().replace(without[0].0, without[0].1);
    nats.configure(&lost).expect("a file");
    nats.restart().await.expect("nats-server starts again");
    let keeps = || async { !stays.invalidate("user:7").await.expect("it is kept") };
    let kept = until(Duration::from_secs(10), "it is refused", keeps).await;
    kept.expect("nothing is lost in silence");
    nats.configure(&rights()).expect("a file");
    nats.restart().await.expect("nats-server starts again");
    super::comes_back(&stays).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_in_the_manual_are_enough_for_a_queue_of_writes() {
    let (redis, nats) = started(&rights()).await;
    let writer = |user| whoever(&nats, NatsLogin::User(login(user, "change-me")));
    let settings = |user| QueueSettings {
        at: writer(user),
        prefix: "cacheaside".to_owned(),
        bytes_max: 100_000,
        replicas: 1,
    };
    let opened = async |user, cache: String| {
        let (domain, cache) = (Name::new("main"), Name::new(cache));
        let (domain, cache) = (domain.expect("a name"), cache.expect("a name"));
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        NatsQueue::open(&settings(user), &domain, &cache, clock, random).await
    };
    let queues = AtomicU32::new(0);
    contract::queue::check(async || {
        let number = queues.fetch_add(1, Ordering::Relaxed);
        let queue = opened("writer", format!("users{number}")).await;
        queue.expect("it may make streams")
    })
    .await;
    assert!(opened("member", "users".to_owned()).await.is_err());
    let mut settings = with_nats(&redis, nats.url().into());
    settings.bus = BusAt::Nats {
        at: writer("writer"),
        prefix: "cacheaside".to_owned(),
    };
    serves(&settings).await;
}
