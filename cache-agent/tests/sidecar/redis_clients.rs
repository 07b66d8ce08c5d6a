//! The RESP door, as the libraries of other languages see it: each connects as it does by
//! default, and in both versions of the protocol.

use crate::callers::{TOKEN, file};
use crate::languages::{Language, program};
use crate::serving::{PATIENCE, Serving};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// Runs a program that does what the door is for; whenever it asks for it, the agent is killed
/// and started again.
async fn gets_along(language: Language, path: &str) {
    let token = file(TOKEN);
    let identity = format!(
        "[[identity]]\nname = 'shop'\ntoken_file = '{}'\n",
        token.path().display()
    );
    let mut agent = Serving::start_with(&identity).await;
    let mut command = program(language, path);
    let port = agent.resp.port().to_string();
    let piped = command.args([&port, TOKEN]).stdin(Stdio::piped());
    let child = piped.stdout(Stdio::piped()).spawn();
    let mut child = child.expect("the program runs");
    let mut asked = child.stdin.take().expect("piped");
    let said = child.stdout.take().expect("piped");
    let mut said = BufReader::new(said).lines();
    let mut done = Vec::new();
    let running = async {
        while let Some(line) = said.next_line().await.expect("text") {
            if line != "restart" {
                done.push(line);
                continue;
            }
            agent.kill9().await;
            agent.begin();
            asked.write_all(b"\n").await.expect("it reads");
        }
        child.wait().await.expect("it ends")
    };
    let ended = tokio::time::timeout(3 * PATIENCE, running).await;
    let ended = ended.expect("it ends in time");
    assert!(ended.success(), "after {done:?}");
    let mut expected = vec!["auth".to_owned()];
    for version in ["default", "2", "3"] {
        let parts = ["commands", "leases", "reconnects"];
        expected.extend(parts.map(|part| format!("{part} {version}")));
    }
    assert_eq!(done, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_py_gets_along_with_the_door() {
    gets_along(Language::Python, "tests/clients/redis_py.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_redis_gets_along_with_the_door() {
    gets_along(Language::Node, "tests/clients/node_redis.js").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ioredis_gets_along_with_the_door() {
    gets_along(Language::Node, "tests/clients/io_redis.js").await;
}
