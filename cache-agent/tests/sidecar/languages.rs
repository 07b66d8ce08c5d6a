//! The clients of `examples`, as programs in their languages. What they do by hand their shell
//! does here: a test asks through it, and is the database that it loads from.

use crate::serving::{PATIENCE, Serving};
use cache_core::testkit::until::pace;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Runs each case in each language, as a test of its own.
macro_rules! in_each_language {
    ($($name:ident),+ $(,)?) => {
        mod python {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Language::Python).await;
            })+
        }
        mod node {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Language::Node).await;
            })+
        }
        mod go {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Language::Go).await;
            })+
        }
    };
}

in_each_language!(
    callers_of_a_cold_key_load_it_once,
    more_callers_than_a_stream_takes_load_once_too,
    a_batch_loads_what_it_misses,
    a_fill_after_an_invalidation_is_superseded,
    no_caller_sees_that_the_agent_is_killed_and_started_again,
    a_watch_hears_an_invalidation,
    without_an_agent_the_source_is_read,
);

#[derive(Clone, Copy)]
pub(crate) enum Language {
    Python,
    Node,
    Go,
}

/// Runs a program in its language, with what `deploy/clients` has set up. One in Go is a
/// file that it has built.
pub(crate) fn program(language: Language, path: &str) -> Command {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = crate_folder.join("../target/clients");
    assert!(made.exists(), "deploy/clients sets up the languages");
    let script = crate_folder.join(path);
    let mut command = match language {
        Language::Python => Command::new(made.join("python/bin/python")),
        Language::Node => Command::new("node"),
        Language::Go => Command::new(made.join(path)),
    };
    if !matches!(language, Language::Go) {
        command.arg(script);
    }
    let modules = [made.join("node"), made.join("redis")].map(|one| one.join("node_modules"));
    let modules = std::env::join_paths(modules).expect("plain paths");
    command
        .env("PYTHONPATH", made.join("python/stubs"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NODE_PATH", modules)
        .kill_on_drop(true);
    command
}

/// A shell of an example: lines go in, lines come out.
struct Shell {
    asked: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Shell {
    fn start(language: Language, address: &str) -> Self {
        let path = match language {
            Language::Python => "examples/python/shell.py",
            Language::Node => "examples/node/shell.js",
            Language::Go => "go/shell",
        };
        let mut command = program(language, path);
        let piped = command.arg(address).stdin(Stdio::piped());
        let child = piped.stdout(Stdio::piped()).spawn();
        let mut child = child.expect("the program runs");
        let said = child.stdout.take().expect("piped");
        Self {
            asked: child.stdin.take().expect("piped"),
            said: BufReader::new(said).lines(),
            _child: child,
        }
    }

    async fn ask(&mut self, line: &str) {
        let line = format!("{line}\n");
        let asked = self.asked.write_all(line.as_bytes()).await;
        asked.expect("it reads");
    }

    async fn next(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.said.next_line()).await;
        let line = line.expect("a line in time").expect("text");
        line.expect("it runs on")
    }

    async fn says(&mut self, expected: &str) {
        assert_eq!(self.next().await, expected);
    }

    /// Waits for this line, whatever comes before it.
    async fn comes_to(&mut self, expected: &str) {
        while self.next().await != expected {}
    }

    /// Asks for a key that is loaded, and answers the load.
    async fn loads(&mut self, key: &str, value: &str) {
        self.ask(&format!("get {key}")).await;
        self.says(&format!("load {key}")).await;
        self.ask(&format!("row {key} {value}")).await;
        self.says(&format!("got {key} {value}")).await;
    }

    /// Asks for a key so often at once, and answers the one load.
    async fn load_once(&mut self, callers: usize) {
        for _ in 0..callers {
            self.ask("get k").await;
        }
        self.says("load k").await;
        // As long as a query takes, so that the others come while it runs.
        pace(Duration::from_millis(200)).await;
        self.ask("row k one").await;
        for _ in 0..callers {
            self.says("got k one").await;
        }
    }

    /// Asks for a key that the cache has.
    async fn hits(&mut self, key: &str, value: &str) {
        self.ask(&format!("get {key}")).await;
        self.says(&format!("got {key} {value}")).await;
    }
}

async fn callers_of_a_cold_key_load_it_once(language: Language) {
    let agent = Serving::start().await;
    let mut shell = Shell::start(language, &agent.address());
    shell.load_once(20).await;
    shell.ask("get none").await;
    shell.says("load none").await;
    shell.ask("row none").await;
    shell.says("got none").await;
    shell.ask("get none").await;
    shell.says("got none").await;
}

async fn more_callers_than_a_stream_takes_load_once_too(language: Language) {
    let agent = Serving::start().await;
    let mut shell = Shell::start(language, &agent.address());
    // By default 256 calls of a stream run at once, and each of these waits for the fill.
    shell.load_once(400).await;
}

async fn a_batch_loads_what_it_misses(language: Language) {
    let agent = Serving::start().await;
    let mut shell = Shell::start(language, &agent.address());
    shell.loads("a", "one").await;
    shell.ask("get a b c").await;
    shell.says("load b").await;
    shell.says("load c").await;
    shell.ask("row b two").await;
    shell.ask("row c").await;
    for line in ["got a one", "got b two", "got c"] {
        shell.says(line).await;
    }
    shell.ask("get c b a").await;
    for line in ["got c", "got b two", "got a one"] {
        shell.says(line).await;
    }
}

async fn a_fill_after_an_invalidation_is_superseded(language: Language) {
    let agent = Serving::start().await;
    let mut shell = Shell::start(language, &agent.address());
    shell.ask("get k").await;
    shell.says("load k").await;
    agent.client().await.invalidate_key("k").await;
    shell.ask("row k old").await;
    shell.says("got k old").await;
    let superseded = r#"cacheaside_leases_total{cache="users",outcome="superseded"}"#;
    assert_eq!(agent.counted(superseded).await, 1);
    shell.loads("k", "new").await;
    shell.hits("k", "new").await;
}

async fn no_caller_sees_that_the_agent_is_killed_and_started_again(language: Language) {
    let mut agent = Serving::start().await;
    let mut shell = Shell::start(language, &agent.address());
    let answered = r#"cacheaside_exchange_calls_total{grpc_method="Get",reason="OK"}"#;
    let (mut got, mut began_again) = (0, None);
    // So many callers, each of whom asks again when it is answered.
    for caller in 0..20 {
        shell.ask(&format!("get k{}", caller % 5)).await;
    }
    loop {
        let line = shell.next().await;
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["load", key] => shell.ask(&format!("row {key} of-{key}")).await,
            ["got", key, value] => {
                assert_eq!(value, format!("of-{key}"));
                got += 1;
                shell.ask(&format!("get {key}")).await;
            }
            _ => panic!("{line}"),
        }
        if got == 200 && began_again.is_none() {
            agent.kill9().await;
            agent.begin();
            began_again = Some(got);
        }
        // The process that answers counts from nought.
        let again = began_again.is_some_and(|before| got > before && got % 500 == 0);
        if again && is_counted(&agent, answered, 200).await {
            return;
        }
        assert!(got < 1_000_000, "the agent that began again is never asked");
    }
}

async fn is_counted(agent: &Serving, series: &str, least: u64) -> bool {
    let up = crate::process::try_http(agent.admin, "/live").await;
    up.is_some() && agent.counted(series).await >= least
}

async fn a_watch_hears_an_invalidation(language: Language) {
    let mut agent = Serving::start().await;
    let mut shell = Shell::start(language, &agent.address());
    shell.ask("watch").await;
    shell.comes_to("hears").await;
    agent.client().await.invalidate_key("k").await;
    shell.comes_to("drop users key k").await;
    agent.kill9().await;
    agent.begin();
    agent.ready().await;
    // The place where it left off is none of this agent's: all copies are to go.
    let whole = match language {
        Language::Python | Language::Go => "drop users whole_cache",
        Language::Node => "drop users wholeCache",
    };
    shell.comes_to(whole).await;
    shell.ask("invalidate other").await;
    shell.comes_to("drop users key other").await;
}

async fn without_an_agent_the_source_is_read(language: Language) {
    let mut agent = Serving::start().await;
    let mut shell = Shell::start(language, &agent.address());
    shell.loads("k", "one").await;
    agent.kill9().await;
    shell.loads("k", "two").await;
    shell.ask("get k l").await;
    shell.says("load k").await;
    shell.says("load l").await;
    shell.ask("row k three").await;
    shell.ask("row l").await;
    shell.says("got k three").await;
    shell.says("got l").await;
    shell.ask("invalidate k").await;
    assert!(shell.next().await.starts_with("failed invalidate k"));
    agent.begin();
    agent.ready().await;
    // The channel finds out by itself that it is back.
    let back = async {
        loop {
            shell.ask("get k").await;
            match shell.next().await.as_str() {
                "got k one" => return,
                load => assert_eq!(load, "load k"),
            }
            shell.ask("row k one").await;
            shell.says("got k one").await;
        }
    };
    let back = tokio::time::timeout(PATIENCE, back);
    back.await.expect("the cache is asked again");
}
