//! An operator's desk: the two files in a folder, and the program run on them.

use crate::world::World;
use serde_json::Value;
use std::process::{Output, Stdio};
use tempfile::TempDir;
use tokio::process::Command;

/// The two files.
pub(crate) struct Desk {
    folder: TempDir,
}

/// What the program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Desk {
    pub(crate) fn new(world: &World, rules: &str) -> Self {
        Self::with(world, rules, "")
    }

    /// With more settings at the end of the service's file.
    pub(crate) fn with(world: &World, rules: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("the folder is there");
        };
        write("service.toml", &(world.service_file() + more));
        write("rules.toml", rules);
        Self { folder }
    }

    /// The program, in the folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_invalidator"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs the program with the two files to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Told {
        let files = ["--config", "service.toml", "--rules", "rules.toml"];
        let ended = self.command(&[arguments, &files].concat()).output().await;
        Told::of(ended.expect("it ends"))
    }

    /// Runs it, and nothing may be wrong.
    pub(crate) async fn done(&self, arguments: &[&str]) -> Told {
        let told = self.run(arguments).await;
        assert_eq!(told.code, 0, "{told:?}");
        told
    }
}

impl Told {
    pub(crate) fn of(ended: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("it is text");
        Self {
            code: ended.status.code().expect("no signal"),
            out: text(ended.stdout),
            err: text(ended.stderr),
        }
    }

    /// What it told programs.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
