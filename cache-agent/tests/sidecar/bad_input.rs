//! What people get wrong at the start: each mistake is told once, with what it is about and what
//! to do, by a code of its own kind, and the program ends.

use crate::process::agent;
use cache_core::testkit::certificates::Certificates;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use tempfile::TempDir;

/// A whole file that needs no servers, with `more` of `[listen]`.
fn file(folder: &Path, more: &str) -> String {
    let text = format!(
        "[listen]\n{more}\n[admin]\naddress = '127.0.0.1:0'\n[l2]\nkind = 'memory'\n\
         [bus]\nkind = 'memory'\n[[cache]]\nname = 'users'\n"
    );
    written(folder, "agent.toml", &text)
}

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

/// Serves until it ends by itself: the code, and what was said by the program and not its log.
async fn served(config: &str, given: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut program = agent(&["serve", "--config", config, "--log", "off"]);
    let ended = program.envs(given.iter().copied()).output().await;
    let ended = ended.expect("it ends");
    (
        ended.status.code(),
        String::from_utf8_lossy(&ended.stderr).into_owned(),
    )
}

/// Ends with the code, and says all of these, once.
async fn refused(config: &str, code: i32, said: &[&str]) {
    let (ended, text) = served(config, &[]).await;
    assert_eq!(ended, Some(code), "{text}");
    for what in said {
        assert!(text.contains(what), "`{what}` is not in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
    let first = said[0];
    assert_eq!(text.matches(first).count(), 1, "told once: {text}");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let folder = TempDir::new().expect("a folder");
    let missing = folder.path().join("none.toml").display().to_string();
    refused(&missing, 2, &[&missing, "No such file"]).await;
    let directory = folder.path().display().to_string();
    refused(&directory, 2, &[&directory, "directory"]).await;
    let path = folder.path().join("bytes.toml");
    std::fs::write(&path, b"\xff\xfe = 1").expect("a file");
    let bytes = path.display().to_string();
    refused(&bytes, 2, &[&bytes, "UTF-8"]).await;
}

#[tokio::test]
async fn what_contradicts_itself_is_told_with_its_line_and_nothing_else_is() {
    let folder = TempDir::new().expect("a folder");
    let whole = file(folder.path(), "tcp = '127.0.0.1:0'");
    let whole = std::fs::read_to_string(whole).expect("just written");
    let text = format!(
        "{whole}lease = '1s'\nload_timeout = '2s'\nread = 'through'\n[loader]\n\
         address = 'http://127.0.0.1:1'\n"
    );
    let config = written(folder.path(), "lease.toml", &text);
    let limits = "a lease lasts longer than a load may take";
    refused(&config, 2, &[limits, "1 problem in"]).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_key() {
    let folder = TempDir::new().expect("a folder");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let taken = taken
        .local_addr()
        .map(|at| (taken, at))
        .expect("its address");
    for key in ["tcp", "resp"] {
        let more = format!(
            "unix = '{}/s.sock'\n{key} = '{}'",
            folder.path().display(),
            taken.1
        );
        let config = file(folder.path(), &more);
        let at = format!("cannot listen on {}", taken.1);
        refused(&config, 1, &[&at, "in use"]).await;
    }
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_is_named() {
    let folder = TempDir::new().expect("a folder");
    // Nobody makes files there, not even root.
    let config = file(folder.path(), "unix = '/proc/self/agent.sock'");
    refused(&config, 1, &["cannot listen on /proc/self/agent.sock"]).await;
}

#[tokio::test]
async fn certificates_that_are_none_or_do_not_fit_are_named() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path();
    let made = Certificates::make().expect("certificates");
    let (one, other) = (made.server(), made.named());
    let garbage = written(path, "garbage.pem", "no certificate");
    let listen = |cert: &Path, key: &Path| {
        let (cert, key) = (cert.display(), key.display());
        format!("tcp = '127.0.0.1:0'\ntls_cert = '{cert}'\ntls_key = '{key}'")
    };
    let config = file(path, &listen(Path::new(&garbage), &one.key));
    refused(&config, 2, &["it holds no certificate in PEM", &garbage]).await;
    let config = file(path, &listen(&one.cert, &other.key));
    refused(&config, 2, &["does not fit"]).await;
}
