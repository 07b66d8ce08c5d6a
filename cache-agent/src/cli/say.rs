//! How the commands speak: data for people or for programs, and what went wrong.

use cache_core::config::overrides::Override;
use cache_core::ops::exit::Exit;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// For whom the data is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs: one object a line
    Json,
}

/// How a command looks and speaks.
#[derive(Clone, Debug)]
pub struct Way {
    /// For whom.
    pub format: Format,
    /// Whether colours help: see no-color.org.
    pub coloured: bool,
    /// What stands in place of a configuration file's keys.
    pub given: Vec<Override>,
}

/// Why a command ends without what it was asked for.
#[derive(Debug)]
pub struct Trouble {
    /// The code that says so.
    pub exit: Exit,
    /// What happened and what to do.
    pub text: String,
    /// The agent's name for it, if it was the agent.
    pub reason: Option<String>,
}

/// How a command ends.
pub type Ended = Result<Exit, Trouble>;

/// Bytes in JSON: a string where they are text, and else an object with their `base64`.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Trouble {
    /// Something failed.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::with(Exit::Failed, text)
    }

    /// The arguments or a file are wrong.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::with(Exit::Usage, text)
    }

    /// With this code.
    pub fn with(exit: Exit, text: impl Into<String>) -> Self {
        let text = text.into();
        let reason = None;
        Self { exit, text, reason }
    }
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => to.serialize_str(text),
            Err(_) => {
                let mut map = to.serialize_map(Some(1))?;
                map.serialize_entry("base64", &base64(self.0))?;
                map.end()
            }
        }
    }
}

/// Says how a command ended.
pub fn ended(ended: Ended) -> Exit {
    ended.unwrap_or_else(|trouble| {
        // That whoever reads has seen enough is no trouble.
        if !trouble.text.is_empty() {
            complain(&trouble.text);
        }
        trouble.exit
    })
}

/// Says what went wrong.
pub fn complain(text: &dyn Display) {
    // Nobody may be reading; that is no reason to panic.
    let _ = writeln!(io::stderr(), "cache-agent: {text}");
}

/// Says something about the data, to people only.
pub fn remark(text: &dyn Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes data.
///
/// # Errors
/// [`Exit::Done`] when whoever reads has seen enough, as `head` has; a full disk.
pub fn say(data: &[u8]) -> Result<(), Trouble> {
    let mut out = io::stdout().lock();
    match out.write_all(data).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(Trouble::with(Exit::Done, ""))
        }
        Err(error) => Err(Trouble::failed(format!("cannot write: {error}"))),
    }
}

/// For a command with something else to say by its code: that whoever reads has seen enough
/// changes nothing.
///
/// # Errors
/// As [`say`], but for that.
pub fn unless_gone(said: Result<(), Trouble>) -> Result<(), Trouble> {
    said.or_else(|trouble| match trouble.exit {
        Exit::Done => Ok(()),
        _ => Err(trouble),
    })
}

/// Writes a line of data.
///
/// # Errors
/// As [`say`].
pub fn line(text: &str) -> Result<(), Trouble> {
    say(format!("{text}\n").as_bytes())
}

/// Writes an object on a line.
///
/// # Errors
/// As [`say`].
pub fn object(data: &impl Serialize) -> Result<(), Trouble> {
    let text = serde_json::to_string(data);
    line(&text.map_err(|error| Trouble::failed(format!("cannot write JSON: {error}")))?)
}

/// Whether people read the data as it is written.
pub fn to_people() -> bool {
    io::stdout().is_terminal()
}

/// Bytes for people: as they are where they are text, and what is none or would move the
/// cursor as `\x1b`.
pub fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c.is_control() || c == '\\' {
                true => text.extend(c.escape_default()),
                false => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Bytes as base64.
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_what_they_are_and_move_no_cursor() {
        assert_eq!(readable("user:7 ü".as_bytes()), "user:7 ü");
        assert_eq!(readable(b"a\x1b[2Jb\n\\"), "a\\u{1b}[2Jb\\n\\\\");
        assert_eq!(readable(b"a\xff\xfeb"), "a\\xff\\xfeb");
        let json = |bytes| serde_json::to_string(&Bytes(bytes)).expect("JSON");
        assert_eq!(json(b"user:7"), r#""user:7""#);
        assert_eq!(json(b"\xff"), r#"{"base64":"/w=="}"#);
    }
}
