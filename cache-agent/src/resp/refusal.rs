//! Why a command is refused, in the words that Redis's clients know.

use super::reply::Reply;
use crate::failure::Failure;
use crate::proto::v1;
use bytes::Bytes;

/// The most bytes of a caller's word that an error repeats.
const SHOWN_MAX: usize = 64;
/// The most words of a command that an error repeats.
const WORDS_SHOWN: usize = 4;

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// There is no such command here.
    Unknown(Vec<Bytes>),
    /// There is no such subcommand here.
    UnknownSub(&'static str, Bytes),
    /// Too few words, or too many.
    Arity(&'static str),
    /// Words that contradict each other, or that nobody knows.
    Syntax,
    /// A number that is none.
    NotANumber,
    /// A time that is none.
    BadExpiry(&'static str),
    /// A key without a cache before it.
    NoCache(Bytes),
    /// An option of Redis's that could not be kept without lying.
    Unsupported(&'static str),
    /// The cache takes no value without a lease.
    NoPlainSet(String),
    /// A version of the protocol that does not exist.
    NoSuchVersion,
    /// A database other than the first.
    NoSuchDatabase,
    /// A token where none is asked for.
    NoPassword,
    /// A token that nobody has.
    WrongPassword,
    /// Nobody knows who is calling.
    Unknowable,
    /// What the caches say.
    Failed(Failure),
    /// What they say of one of several.
    Part(v1::Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::Error(match refusal {
            Refusal::Unknown(words) => unknown(&words),
            Refusal::UnknownSub(command, sub) => {
                format!("ERR unknown subcommand '{}' of {command}", shown(&sub))
            }
            Refusal::Arity(command) => {
                format!("ERR wrong number of arguments for '{command}' command")
            }
            Refusal::Syntax => "ERR syntax error".to_owned(),
            Refusal::NotANumber => "ERR value is not an integer or out of range".to_owned(),
            Refusal::BadExpiry(command) => {
                format!("ERR invalid expire time in '{command}' command")
            }
            Refusal::NoCache(key) => format!(
                "ERR the key '{}' names no cache; a key is written cache:key",
                shown(&key)
            ),
            Refusal::Unsupported(what) => format!("ERR {what}"),
            Refusal::NoPlainSet(cache) => format!(
                "ERR the cache '{cache}' stores nothing without a lease: use CACHE.GETL and \
                 CACHE.FILL, or DEL, or set `unleased_set = \"stores\"`"
            ),
            Refusal::NoSuchVersion => "NOPROTO unsupported protocol version".to_owned(),
            Refusal::NoSuchDatabase => "ERR DB index is out of range".to_owned(),
            Refusal::WrongPassword => {
                "WRONGPASS invalid username-password pair or user is disabled.".to_owned()
            }
            Refusal::Unknowable => "NOAUTH Authentication required.".to_owned(),
            Refusal::NoPassword => {
                "ERR AUTH called without any password configured; none is asked for".to_owned()
            }
            Refusal::Failed(failure) => {
                let (name, _) = failure.reason.on_the_wire();
                format!("{name} {}", failure.message)
            }
            Refusal::Part(failure) => format!("{} {}", failure.reason, failure.message),
        })
    }
}

fn unknown(words: &[Bytes]) -> String {
    let mut words = words.iter();
    let name = words.next().map(shown).unwrap_or_default();
    let arguments = words
        .take(WORDS_SHOWN)
        .map(|word| format!("'{}' ", shown(word)));
    let arguments: String = arguments.collect();
    format!("ERR unknown command '{name}', with args beginning with: {arguments}")
}

/// A caller's word, as far as it can be shown to anybody.
fn shown(word: &Bytes) -> String {
    word[..word.len().min(SHOWN_MAX)].escape_ascii().to_string()
}
