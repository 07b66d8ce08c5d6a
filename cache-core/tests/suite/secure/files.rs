//! The keys of a file that say all this, and how their mistakes are told.

use super::{certificates, serves};
use cache_core::DomainSettings;
use cache_core::access::{Password, Tls};
use cache_core::bus::server::NatsLogin;
use cache_core::config::{domain, reader};
use cache_core::connect::{BusAt, RemoteAt};
use cache_core::testkit::servers::nats::{NatsServer, tls};
use cache_core::testkit::servers::redis::RedisServer;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn read(text: &str) -> Result<DomainSettings, String> {
    let read = reader::read("x.toml", text, domain::settings);
    read.map_err(|report| report.to_string())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test]
async fn a_file_says_all_that_lets_a_process_in() {
    let certificates = certificates();
    let redis = RedisServer::start_tls(&certificates.asking()).await;
    let redis = redis.expect("redis-server speaks TLS");
    let user = ["ACL", "SETUSER", "cache", "on", ">secret", "~*", "+@all"];
    redis.command::<()>(&user).await.expect("it makes users");
    let server = format!(
        "{}authorization {{ user: cache, password: secret }}",
        tls(&certificates.asking())
    );
    let nats = NatsServer::start_with(&server).await.expect("it starts");
    let folder = TempDir::new().expect("a folder");
    let password = folder.path().join("password");
    fs::write(&password, "secret\n").expect("it is writable");
    let access = format!(
        "user = 'cache'\npassword_file = '{}'\ntls_ca = '{}'\ntls_cert = '{}'\ntls_key = '{}'\n",
        shown(&password),
        shown(&certificates.ca()),
        shown(&certificates.client().cert),
        shown(&certificates.client().key),
    );
    let text = format!(
        "[domain]\ntrust_by = 'echo'\n[l2]\nkind = 'single'\ntimeout = '2s'\nurls = ['{}']\n\
         {access}[bus]\nurl = '{}'\n{access}",
        redis.tls_url(),
        nats.url(),
    );
    let settings = read(&text).expect("nothing is wrong");
    assert!(!format!("{settings:?}").contains("secret"));
    serves(&settings).await;
}

#[test]
fn the_keys_become_settings() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "x").expect("it is writable");
    let file = shown(&file);
    let text = format!(
        "[l2]\nkind = 'sentinel'\nservice = 's'\nurls = ['rediss://u@s:1']\n\
         password_file = '{file}'\ntls_name = 'n'\n[l2.sentinel]\n[bus]\nurl = 'tls://n:4'\n\
         nkey_file = '{file}'\n"
    );
    let settings = read(&text).expect("nothing is wrong");
    let RemoteAt::Redis { access, .. } = &settings.remote else {
        panic!("it is in Redis");
    };
    assert_eq!(access.login.password, Password::File(file.clone().into()));
    assert_eq!(access.sentinels, Some(cache_core::access::Login::default()));
    let tls = access.tls.as_ref().expect("rediss:// is TLS");
    assert_eq!(tls.name.as_deref(), Some("n"));
    let BusAt::Nats { at, .. } = &settings.bus else {
        panic!("it is in NATS");
    };
    assert_eq!(at.login, NatsLogin::Nkey(file.clone().into()));
    assert_eq!(at.tls, Some(Tls::default()));

    let text = format!(
        "[l2]\nurls = ['redis://r:1']\n[bus]\nurl = 'nats://n:4'\ncredentials_file = '{file}'\n"
    );
    let settings = read(&text).expect("nothing is wrong");
    let RemoteAt::Redis { access, .. } = &settings.remote else {
        panic!("it is in Redis");
    };
    assert_eq!((&access.tls, &access.sentinels), (&None, &None));
    let BusAt::Nats { at, .. } = &settings.bus else {
        panic!("it is in NATS");
    };
    assert_eq!(at.login, NatsLogin::Credentials(file.into()));
    assert_eq!(at.tls, None);
}

#[test]
fn everything_that_is_wrong_with_them_is_told_at_once() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "x").expect("it is writable");
    let file = shown(&file);
    let text = format!(
        "[l2]\nurls = ['redis://u:hidden@r:1']\nuser = 'other'\npassword_file = '{file}'\n\
         tls_cert = '{file}'\ntls_kee = '{file}'\n[l2.sentinel]\nuser = 'u'\n\
         [bus]\nurl = 'nats://u:hidden@n:4'\ntls_ca = '/no/such.pem'\nnkey_file = '{file}'\n\
         credentials_file = '{file}'\n"
    );
    let problems = read(&text).expect_err("much is wrong");
    for wanted in [
        "x.toml:2:8: these speak no TLS, and there are `tls_…` keys; write rediss://host:port",
        "x.toml:3:8: there is a user in the address too; keep it in one place",
        "x.toml:4:17: there is a password in the address too; keep it in one place",
        "x.toml:5:12: `tls_cert` without `tls_key`: it takes both",
        "unknown key `tls_kee` in [l2]",
        "did you mean `tls_key`?",
        "x.toml:7:1: `[l2.sentinel]` without `kind = \"sentinel\"`: who would be asked?",
        "x.toml:8:8: `user` without `password_file`: who proves to be that user?",
        "x.toml:11:10: `tls_ca`: `/no/such.pem` cannot be read: No such file",
        "write the path of a file that this process may read",
        "x.toml:12:13: the address says already who this process is; keep one of them",
        "x.toml:13:20: `nkey_file` says already who this process is; keep one of them",
    ] {
        assert!(problems.contains(wanted), "{wanted}\n\n{problems}");
    }
    let quoted = problems.lines().filter(|line| line.contains("hidden"));
    assert_eq!(quoted.count(), 0, "{problems}");

    let text = format!(
        "[l2]\nurls = ['rediss://r:1', 'redis://r:2']\n[bus]\nurl = 'tls://n:4'\ntls_ca = '{file}'\n"
    );
    let problems = read(&text).expect_err("two things are wrong");
    for wanted in [
        "some begin with rediss:// and some do not",
        "it holds no certificate in PEM",
        "2 problems",
    ] {
        assert!(problems.contains(wanted), "{wanted}\n\n{problems}");
    }
    let problems = read("[l2]\nurls = ['rediss://r:1']\n[bus]\nuser = 'u'\n");
    let problems = problems.expect_err("NATS is nowhere");
    assert!(problems.contains("`url` is missing"), "{problems}");
}
