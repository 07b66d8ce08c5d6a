//! The atomic steps as Redis runs them, and how their answers are read.

use redis::{Cmd, Value};
use std::sync::LazyLock;

/// One step: its source, and the digest by which a node that knows it runs it.
#[derive(Debug)]
pub(super) struct Script {
    source: String,
    digest: String,
}

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(include_str!(concat!("lua/", $file))));
    };
}

script!(LEASE, "lease.lua");
script!(FILL, "fill.lua");
script!(RELEASE, "release.lua");
script!(TOUCH, "touch.lua");
script!(QUARANTINE, "quarantine.lua");
script!(WRITE, "write.lua");
script!(APPLY, "apply.lua");
script!(BEAT, "beat.lua");
script!(AGREE, "agree.lua");

impl Script {
    fn new(own: &str) -> Self {
        let source = format!("{}{own}", include_str!("lua/common.lua"));
        let digest = redis::Script::new(&source).get_hash().to_owned();
        Self { source, digest }
    }
}

/// A command on one bucket, which may have to be sent twice: by digest, then with
/// its source to a node that did not know it.
#[derive(Clone, Debug)]
pub(super) enum Call {
    /// Reads a record and a watermark; never a script, because hits take this way.
    Read { record: Vec<u8>, watermark: Vec<u8> },
    /// Runs a step.
    Run {
        script: &'static LazyLock<Script>,
        keys: [Vec<u8>; 2],
        args: Vec<Vec<u8>>,
    },
}

impl Call {
    /// The command to send first.
    pub(super) fn command(&self) -> Cmd {
        match self {
            Self::Read { record, watermark } => {
                let mut cmd = redis::cmd("MGET");
                cmd.arg(&record[..]).arg(&watermark[..]);
                cmd
            }
            Self::Run { script, .. } => self.run("EVALSHA", &script.digest),
        }
    }

    /// The command for a node that answered NOSCRIPT. The source goes to that node
    /// alone: loading it everywhere would let one dead node fail a healthy one.
    pub(super) fn command_with_source(&self) -> Cmd {
        match self {
            Self::Read { .. } => self.command(),
            Self::Run { script, .. } => self.run("EVAL", &script.source),
        }
    }

    fn run(&self, verb: &str, script: &str) -> Cmd {
        let mut cmd = redis::cmd(verb);
        if let Self::Run { keys, args, .. } = self {
            cmd.arg(script).arg(2).arg(&keys[0][..]).arg(&keys[1][..]);
            for arg in args {
                cmd.arg(&arg[..]);
            }
        }
        cmd
    }
}

/// The parts of a script's answer: a letter, then texts or numbers.
#[derive(Debug)]
pub(super) struct Answer(Vec<Value>);

impl Answer {
    /// Takes an answer apart; `None` if it is not a list.
    pub(super) fn new(value: Value) -> Option<Self> {
        match value {
            Value::Array(parts) => Some(Self(parts)),
            _ => None,
        }
    }

    /// The letter that says which answer it is.
    pub(super) fn letter(&self) -> Option<u8> {
        self.text(0)?.first().copied()
    }

    /// The text at `at`.
    pub(super) fn text(&self, at: usize) -> Option<&[u8]> {
        match self.0.get(at)? {
            Value::BulkString(text) => Some(text),
            Value::SimpleString(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// The position at `at`.
    pub(super) fn position(&self, at: usize) -> Option<crate::model::position::Position> {
        crate::model::position::Position::from_hex(self.text(at)?)
    }

    /// The position at `at`, or the empty text that stands for none.
    pub(super) fn maybe_position(
        &self,
        at: usize,
    ) -> Option<Option<crate::model::position::Position>> {
        match self.text(at)? {
            b"" => Some(None),
            _ => self.position(at).map(Some),
        }
    }

    /// The number at `at`.
    pub(super) fn number(&self, at: usize) -> Option<i64> {
        match self.0.get(at)? {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }
}
