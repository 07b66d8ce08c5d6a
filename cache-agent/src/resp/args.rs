//! The words of a command, one after the other.

use super::refusal::Refusal;
use bytes::Bytes;

/// What is left of a command's words.
#[derive(Debug)]
pub struct Args<'a> {
    command: &'static str,
    rest: std::slice::Iter<'a, Bytes>,
}

impl<'a> Args<'a> {
    /// The words after the command's name, which errors repeat.
    pub fn new(command: &'static str, words: &'a [Bytes]) -> Self {
        Self {
            command,
            rest: words.iter(),
        }
    }

    /// The command.
    pub fn command(&self) -> &'static str {
        self.command
    }

    /// The next word.
    ///
    /// # Errors
    /// [`Refusal::Arity`] if there is none.
    pub fn word(&mut self) -> Result<Bytes, Refusal> {
        self.opt().ok_or(Refusal::Arity(self.command))
    }

    /// The next word, if there is one.
    pub fn opt(&mut self) -> Option<Bytes> {
        self.rest.next().cloned()
    }

    /// All that are left, at least one.
    ///
    /// # Errors
    /// [`Refusal::Arity`] if there is none.
    pub fn some(&mut self) -> Result<Vec<Bytes>, Refusal> {
        let all: Vec<_> = self.rest.by_ref().cloned().collect();
        match all.is_empty() {
            true => Err(Refusal::Arity(self.command)),
            false => Ok(all),
        }
    }

    /// The next word as a number.
    ///
    /// # Errors
    /// [`Refusal::Arity`], or [`Refusal::NotANumber`].
    pub fn number(&mut self) -> Result<i64, Refusal> {
        let word = self.word()?;
        let text = std::str::from_utf8(&word).map_err(|_| Refusal::NotANumber)?;
        text.parse().map_err(|_| Refusal::NotANumber)
    }

    /// That no word is left.
    ///
    /// # Errors
    /// [`Refusal::Arity`] otherwise.
    pub fn end(&mut self) -> Result<(), Refusal> {
        match self.rest.next() {
            None => Ok(()),
            Some(_) => Err(Refusal::Arity(self.command)),
        }
    }
}

/// A word in capitals, as commands and options are compared; longer ones are none.
pub fn capitals(word: &[u8]) -> ([u8; CAPITALS_MAX], usize) {
    let mut capitals = [0; CAPITALS_MAX];
    let length = match word.len() <= CAPITALS_MAX {
        true => word.len(),
        false => 0,
    };
    capitals[..length].copy_from_slice(&word[..length]);
    capitals.make_ascii_uppercase();
    (capitals, length)
}

/// The longest word that is compared.
pub const CAPITALS_MAX: usize = 24;
