//! One Redis with TLS, users and passwords.

use super::{certificates, login, open, refused, serves, showing, trusting, with_redis};
use cache_core::DomainSettings;
use cache_core::access::{Login, Password, Tls};
use cache_core::testkit::certificates::NAME;
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::tier::redis::{Deployment, RedisAccess};
use std::fs;
use tempfile::NamedTempFile;

fn at(server: &RedisServer, tls: Tls) -> DomainSettings {
    let url = server.tls_url();
    let access = RedisAccess {
        tls: Some(tls),
        ..RedisAccess::default()
    };
    with_redis(Deployment::Single { url }, access)
}

#[tokio::test]
async fn redis_with_tls_serves_whoever_trusts_its_authority_and_nobody_else() {
    let certificates = certificates();
    let server = RedisServer::start_tls(&certificates.guard()).await;
    let server = server.expect("redis-server speaks TLS");
    serves(&at(&server, trusting(&certificates))).await;

    let strangers = Tls {
        ca: Some(certificates.strangers_ca()),
        ..Tls::default()
    };
    for tls in [strangers, Tls::default()] {
        let why = refused(&at(&server, tls)).await;
        assert!(why.contains("name its authority in `tls_ca`"), "{why}");
    }
    let plain = server.tls_url().replace("rediss", "redis");
    let why = refused(&with_redis(
        Deployment::Single { url: plain },
        RedisAccess::default(),
    ))
    .await;
    assert!(why.contains("does it ask for TLS"), "{why}");
    let no_tls = server.url().replace("redis:", "rediss:");
    let why = refused(&with_redis(
        Deployment::Single { url: no_tls },
        RedisAccess::default(),
    ))
    .await;
    assert!(why.contains("does it speak TLS there"), "{why}");
}

#[tokio::test]
async fn redis_that_asks_for_a_certificate_gets_it() {
    let certificates = certificates();
    let server = RedisServer::start_tls(&certificates.asking()).await;
    let server = server.expect("redis-server speaks TLS");
    let shown = showing(certificates.client(), trusting(&certificates));
    serves(&at(&server, shown)).await;

    let why = refused(&at(&server, trusting(&certificates))).await;
    assert!(why.contains("`tls_cert`"), "{why}");
    let stranger = showing(certificates.stranger(), trusting(&certificates));
    let why = refused(&at(&server, stranger)).await;
    assert!(why.contains("`tls_cert`"), "{why}");
}

#[tokio::test]
async fn redis_with_another_name_than_its_address_is_refused_unless_told() {
    let certificates = certificates();
    let mut guard = certificates.guard();
    guard.own = certificates.named();
    let server = RedisServer::start_tls(&guard).await.expect("it speaks TLS");
    let told = Tls {
        name: Some(NAME.to_owned()),
        ..trusting(&certificates)
    };
    serves(&at(&server, told)).await;
    let why = refused(&at(&server, trusting(&certificates))).await;
    assert!(why.contains("for another name"), "{why}");
}

#[tokio::test]
async fn a_password_in_a_file_is_read_at_each_connection() {
    let server = RedisServer::start().await.expect("redis-server starts");
    let set = |password: &str| format!(">{password}");
    let user = [
        "ACL",
        "SETUSER",
        "cache",
        "on",
        "resetpass",
        &set("first"),
        "~*",
        "+@all",
    ];
    server.command::<()>(&user).await.expect("it makes users");
    let file = NamedTempFile::new().expect("a file");
    fs::write(file.path(), "first\n").expect("it is writable");
    let access = RedisAccess {
        login: Login {
            user: Some("cache".to_owned()),
            password: Password::File(file.path().to_owned()),
        },
        ..RedisAccess::default()
    };
    let settings = with_redis(Deployment::Single { url: server.url() }, access);
    serves(&settings).await;
    let stays = super::joined(&settings).await;

    let user = ["ACL", "SETUSER", "cache", "resetpass", &set("second")];
    server.command::<()>(&user).await.expect("it rotates");
    let why = refused(&settings).await;
    assert!(
        why.contains("are the user and the password right?"),
        "{why}"
    );
    fs::write(file.path(), "second").expect("it is writable");
    serves(&settings).await;
    // Whose connection breaks comes back with the new one.
    let killed = server
        .command::<u64>(&["CLIENT", "KILL", "USER", "cache"])
        .await;
    assert!(killed.expect("it kills") > 0);
    super::comes_back(&stays).await;
    fs::remove_file(file.path()).expect("it is there");
    let why = refused(&settings).await;
    assert!(why.contains("reading the password file"), "{why}");
    assert!(!why.contains("second"), "{why}");
}

#[tokio::test]
async fn no_secret_is_in_any_text_of_the_settings() {
    let url = "redis://cache:s3cret@127.0.0.1:1".to_owned();
    let access = RedisAccess {
        login: login("cache", "s3cret"),
        sentinels: Some(login("watch", "s3cret")),
        tls: None,
    };
    let mut settings = with_redis(Deployment::Single { url }, access);
    settings.bus = cache_core::connect::BusAt::Nats {
        at: "nats://u:s3cret@127.0.0.1:1".into(),
        prefix: "test".to_owned(),
    };
    let shown = format!("{settings:?}");
    assert!(
        shown.contains("127.0.0.1:1") && !shown.contains("s3cret"),
        "{shown}"
    );
    let why = open(&settings)
        .await
        .expect_err("nobody is there")
        .to_string();
    assert!(!why.contains("s3cret"), "{why}");
}
