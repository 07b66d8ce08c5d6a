//! A real browser that looks at a built-in page, as the program in `cache-agent/tests/clients`
//! drives it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How long one thing that is looked at may take, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

/// A look at one page.
#[derive(Debug)]
pub struct Look {
    child: Child,
    asked: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

/// What a look came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What was right, in its order, and last what was wrong.
    pub lines: Vec<String>,
    /// Whether nothing was wrong.
    pub right: bool,
}

impl Look {
    /// Looks at the page of `service` on this admin listener; with `broken`, that script of
    /// the page throws.
    ///
    /// # Panics
    /// If `deploy/clients` has not set the program up.
    pub fn start(admin: SocketAddr, service: &str, broken: Option<&str>) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let modules = root.join("target/clients/redis/node_modules");
        assert!(modules.exists(), "deploy/clients sets up the browser");
        let mut child = Command::new("node")
            .arg(root.join("cache-agent/tests/clients/page.js"))
            .args([&format!("http://{admin}/"), service])
            .args(broken)
            .env("NODE_PATH", modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node runs");
        Self {
            asked: child.stdin.take().expect("piped"),
            said: BufReader::new(child.stdout.take().expect("piped")).lines(),
            child,
        }
    }

    /// Goes on until the program asks for something, which is the answer, or ends.
    ///
    /// # Panics
    /// If it says nothing for too long.
    pub async fn until_it_asks(&mut self, seen: &mut Seen) -> Option<String> {
        loop {
            let line = timeout(PATIENCE, self.said.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("silence after {seen:?}"));
            match line.expect("text") {
                Some(line) if ["kill", "begin"].contains(&&*line) => return Some(line),
                Some(line) => seen.lines.push(line),
                None => {
                    seen.right = self.child.wait().await.is_ok_and(|ended| ended.success());
                    return None;
                }
            }
        }
    }

    /// Says that it was done.
    ///
    /// # Panics
    /// If the program is gone.
    pub async fn done(&mut self) {
        self.asked.write_all(b"\n").await.expect("it reads");
    }
}
