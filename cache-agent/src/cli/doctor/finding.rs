//! One line of the checklist.

use serde::Serialize;
use std::fmt;

/// What was looked at, and what was found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The part it belongs to.
    pub part: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub mend: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and is surely not meant.
    Warn,
    /// It does not work.
    Bad,
}

impl Finding {
    /// All is well.
    pub fn ok(part: &'static str, found: impl Into<String>) -> Self {
        Self::new(part, State::Ok, found.into(), None)
    }

    /// It works, and is surely not meant.
    pub fn warn(part: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(part, State::Warn, found.into(), Some(mend.into()))
    }

    /// It does not work.
    pub fn bad(part: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(part, State::Bad, found.into(), Some(mend.into()))
    }

    /// It does not work, as an error says that knows what to do.
    pub fn error(part: &'static str, error: &cache_core::Error) -> Self {
        Self::new(part, State::Bad, error.to_string(), None)
    }

    fn new(part: &'static str, state: State, found: String, mend: Option<String>) -> Self {
        Self {
            part,
            state,
            found,
            mend,
        }
    }

    /// The line, with colours or without.
    pub fn line(&self, coloured: bool) -> String {
        let mark = match coloured {
            true => format!("\x1b[{}m{:<4}\x1b[0m", self.state.colour(), self.state),
            false => format!("{:<4}", self.state),
        };
        let mut line = format!("  {mark}  {}", self.found);
        if let Some(mend) = &self.mend {
            line.push_str(&format!("\n        mend: {mend}"));
        }
        line
    }
}

impl State {
    /// Green, yellow or red, as terminals number them.
    fn colour(self) -> u8 {
        match self {
            Self::Ok => 32,
            Self::Warn => 33,
            Self::Bad => 31,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
        })
    }
}
