//! Who may call, what they may do, and with which caches.

use crate::world::{Client, World, fill, get, patient, refusal};
use bytes::Bytes;
use cache_agent::callers::Callers;
use cache_agent::config::{self, Identity, Operation};
use cache_agent::grpc::HEADERS_BYTES_MAX;
use cache_agent::listen::UnixDoor;
use cache_agent::proto::v1;
use cache_core::testkit::until::until;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;
use tempfile::{NamedTempFile, TempDir};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const OTHER: &str = "fedcba9876543210fedcba9876543210";

/// Somebody with this token, who may do anything.
pub(crate) fn identity(name: &str, token: Option<&Path>) -> Identity {
    Identity {
        name: name.to_owned(),
        token: token.map(Path::to_owned),
        uid: None,
        caches: None,
        may: Operation::ALL.to_vec(),
    }
}

pub(crate) fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    fs::write(file.path(), text).expect("it is writable");
    file
}

pub(crate) fn callers(identities: Vec<Identity>) -> Callers {
    Callers::new(identities).expect("good files")
}

/// The same call with this header.
pub(crate) fn saying<T>(header: &str, message: T) -> Request<T> {
    let mut request = patient(message);
    let header = header.parse().expect("a header");
    request.metadata_mut().insert("authorization", header);
    request
}

pub(crate) fn with<T>(token: &str, message: T) -> Request<T> {
    saying(&format!("Bearer {token}"), message)
}

fn missing() -> (Code, String) {
    (Code::Unauthenticated, "TOKEN_MISSING".to_owned())
}

pub(crate) fn invalid() -> (Code, String) {
    (Code::Unauthenticated, "TOKEN_INVALID".to_owned())
}

pub(crate) fn forbidden() -> (Code, String) {
    (Code::PermissionDenied, "CACHE_FORBIDDEN".to_owned())
}

async fn gets(client: &Client, request: Request<v1::GetRequest>) -> Result<(), Status> {
    client.cache.clone().get(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_needs_a_token_that_somebody_has() {
    let own = file(TOKEN);
    let world = World::embedded_for(callers(vec![identity("shop", Some(own.path()))])).await;
    for client in [&world.tcp, &world.unix] {
        gets(client, with(TOKEN, get("k")))
            .await
            .expect("it is let in");
        let lower = saying(&format!("bearer {TOKEN}"), get("k"));
        gets(client, lower).await.expect("the word is of any case");
        assert_eq!(refusal(gets(client, patient(get("k"))).await), missing());
        let shorter = &TOKEN[1..];
        for wrong in [OTHER, shorter, "", "\u{9}"] {
            let refused = gets(client, with(wrong, get("k"))).await;
            assert_eq!(refusal(refused), invalid(), "{wrong}");
        }
        for header in [TOKEN, "Basic eA==", "Bearer"] {
            let refused = gets(client, saying(header, get("k"))).await;
            assert_eq!(refusal(refused), invalid(), "{header}");
        }
    }
    // Probes have no tokens.
    let mut health = HealthClient::new(world.tcp.channel.clone());
    let check = HealthCheckRequest::default();
    health.check(check).await.expect("health is for everybody");
}

/// What the four operations come to for whoever has this token.
async fn tried(client: &Client, cache: &str) -> [Result<(), Status>; 4] {
    let cache = cache.to_owned();
    let read = v1::GetRequest {
        cache: cache.clone(),
        ..get("k")
    };
    let stored = v1::FillRequest {
        cache: cache.clone(),
        ..fill("k", &Bytes::from_static(b"12345678"), "v")
    };
    let set = v1::SetRequest {
        cache: cache.clone(),
        key: Bytes::from_static(b"k"),
        ..Default::default()
    };
    let gone = v1::InvalidateRequest {
        cache,
        keys: vec![Bytes::from_static(b"k")],
        ..Default::default()
    };
    let (mut api, mut bus) = (client.cache.clone(), client.invalidation.clone());
    [
        api.get(with(TOKEN, read)).await.map(drop),
        api.fill(with(TOKEN, stored)).await.map(drop),
        api.set(with(TOKEN, set)).await.map(drop),
        bus.invalidate(with(TOKEN, gone)).await.map(drop),
    ]
}

fn is_forbidden(came: &Result<(), Status>) -> bool {
    came.as_ref()
        .is_err_and(|status| status.code() == Code::PermissionDenied)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_is_for_those_who_may() {
    let own = file(TOKEN);
    for (at, operation) in Operation::ALL.into_iter().enumerate() {
        let only = Identity {
            may: vec![operation],
            ..identity("shop", Some(own.path()))
        };
        let world = World::embedded_for(callers(vec![only])).await;
        for (tried_at, came) in tried(&world.tcp, "users").await.into_iter().enumerate() {
            assert_eq!(
                is_forbidden(&came),
                tried_at != at,
                "{operation:?}: {came:?}"
            );
            if tried_at != at {
                assert_eq!(refusal(came), forbidden());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_cache_is_for_those_who_may() {
    let own = file(TOKEN);
    let only = Identity {
        caches: Some(["users".to_owned()].into()),
        ..identity("shop", Some(own.path()))
    };
    let world = World::embedded_for(callers(vec![only])).await;
    for came in tried(&world.tcp, "users").await {
        assert!(!is_forbidden(&came), "{came:?}");
    }
    for came in tried(&world.tcp, "notes").await {
        assert_eq!(refusal(came), forbidden());
    }
    let batch = |cache: &str| v1::BatchGetRequest {
        requests: vec![
            get("k"),
            v1::GetRequest {
                cache: cache.to_owned(),
                ..get("l")
            },
        ],
    };
    let mut api = world.tcp.cache.clone();
    let both = api.batch_get(with(TOKEN, batch("users"))).await;
    both.expect("it may use both");
    let one = api.batch_get(with(TOKEN, batch("notes"))).await;
    assert_eq!(refusal(one), forbidden());
    let release = |cache: &str| v1::ReleaseLeaseRequest {
        cache: cache.to_owned(),
        key: Bytes::from_static(b"k"),
        lease_token: Bytes::from_static(b"12345678"),
    };
    let own = api.release_lease(with(TOKEN, release("users"))).await;
    assert!(!is_forbidden(&own.map(drop)));
    let others = api.release_lease(with(TOKEN, release("notes"))).await;
    assert_eq!(refusal(others), forbidden());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_rotates_without_a_restart() {
    let own = file(TOKEN);
    let all = callers(vec![identity("shop", Some(own.path()))]);
    let world = World::embedded_for(all.clone()).await;
    let is_in = async |token: &str| gets(&world.tcp, with(token, get("k"))).await.is_ok();
    assert!(is_in(TOKEN).await && !is_in(OTHER).await);
    let soon = Duration::from_secs(10);
    fs::write(own.path(), format!("{TOKEN}\n{OTHER}\n")).expect("it is writable");
    let both = until(soon, "the new one is good", || async { is_in(OTHER).await }).await;
    both.expect("files are read again");
    assert!(is_in(TOKEN).await, "and the old one still is");
    fs::write(own.path(), OTHER).expect("it is writable");
    let new = until(soon, "the old one is not", || async { !is_in(TOKEN).await }).await;
    new.expect("files are read again");
    // What cannot be read takes nobody's right away.
    fs::remove_file(own.path()).expect("it is there");
    all.reread_now();
    assert!(is_in(OTHER).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_is_known_by_its_user_on_the_socket_alone() {
    let user = fs::metadata("/proc/self").expect("a process").uid();
    for (uid, let_in) in [(user, true), (user + 1, false)] {
        let by_user = Identity {
            uid: Some(uid),
            ..identity("shop", None)
        };
        let world = World::embedded_for(callers(vec![by_user])).await;
        let came = gets(&world.unix, patient(get("k"))).await;
        assert_eq!(came.is_ok(), let_in, "{came:?}");
        assert_eq!(
            refusal(gets(&world.tcp, patient(get("k"))).await),
            missing()
        );
        // Who sends a token is known by it alone.
        let refused = gets(&world.unix, with(OTHER, get("k"))).await;
        assert_eq!(refusal(refused), invalid());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_have_a_limit() {
    let world = World::embedded().await;
    let call = async |bytes: usize| {
        let mut request = patient(get("k"));
        let header = "x".repeat(bytes).parse().expect("a header");
        request.metadata_mut().insert("x-long", header);
        gets(&world.tcp, request).await
    };
    let limit = HEADERS_BYTES_MAX as usize;
    // Beside this header there are others, of less than 1 KiB.
    call(limit - 1024).await.expect("below the limit");
    call(limit).await.expect_err("above the limit");
    call(10).await.expect("and others go on");
}

#[tokio::test]
async fn the_socket_has_the_mode_of_the_settings() {
    let folder = TempDir::new().expect("a folder");
    for mode in [0o600, 0o660, 0o666] {
        let path = folder.path().join(format!("{mode:o}.sock"));
        let _door = UnixDoor::bind_for(&path, mode).await.expect("a socket");
        let found = fs::metadata(&path).expect("it is there").permissions();
        assert_eq!(found.mode() & 0o777, mode);
    }
}

#[test]
fn a_file_of_tokens_is_checked_before_anybody_is_served() {
    let no = |text: &str| {
        let own = file(text);
        let refused = Callers::new(vec![identity("shop", Some(own.path()))]);
        refused.err().unwrap_or_else(|| panic!("{text} is good"))
    };
    assert!(no("short").contains("openssl rand -hex 32"));
    assert!(!no("short").contains("`short`"));
    assert!(no("\n\n").contains("holds no token"));
    assert!(no(&format!("{TOKEN}\n").repeat(17)).contains("more than 16"));
    let most = file(&format!("{TOKEN}\n").repeat(16));
    callers(vec![identity("shop", Some(most.path()))]);
    let shortest = file(&TOKEN[..16]);
    callers(vec![identity("shop", Some(shortest.path()))]);
    assert!(no(&TOKEN[..15]).contains("shorter than 16 bytes"));
    let shown = format!("{:?}", callers(vec![identity("shop", Some(most.path()))]));
    assert!(shown.contains("shop") && !shown.contains(TOKEN), "{shown}");
}

#[test]
fn an_address_of_others_is_for_callers_with_tokens() {
    let own = file(TOKEN);
    let text = |identity: &str| {
        format!(
            "[listen]\ntcp = '0.0.0.0:7390'\nunix = '/run/a.sock'\nunix_mode = '0600'\n\
             [l2]\nkind = 'memory'\n[bus]\nkind = 'memory'\n[[cache]]\nname = 'users'\n{identity}"
        )
    };
    let token = format!(
        "[[identity]]\nname = 'shop'\ntoken_file = '{}'\ncaches = ['users']\nmay = ['read']\n",
        own.path().display()
    );
    let config = config::read("a.toml", &text(&token)).expect("nothing wrong");
    assert_eq!(config.listen.unix_mode, 0o600);
    let shop = Identity {
        caches: Some(["users".to_owned()].into()),
        may: vec![Operation::Read],
        ..identity("shop", Some(own.path()))
    };
    assert_eq!(config.identities, [shop]);
    for bare in ["", "[[identity]]\nname = 'shop'\nuid = 0\n"] {
        let problems = config::read("a.toml", &text(bare)).expect_err("nobody asks");
        let problems = problems.to_string();
        assert!(problems.contains("name callers with tokens"), "{problems}");
    }
    let wrong = "[[identity]]\nname = 'shop'\n[[identity]]\nname = 'shop'\nuid = 1\nmay = ['raed']\n\
        token_file = '/no/such'\n";
    let problems = config::read("a.toml", &text(wrong).replace("0600", "0770"));
    let problems = problems.expect_err("much is wrong").to_string();
    for wanted in [
        "`0770` is no mode of a socket",
        "neither `token_file` nor `uid`",
        "the identity `shop` is here twice",
        "did you mean `read`?",
        "`/no/such` cannot be read",
    ] {
        assert!(problems.contains(wanted), "{wanted}\n\n{problems}");
    }
}
