//! An event as it came, and what the rules file says about reading it.

use crate::change::Format;
use cache_core::model::key::Name;

/// The prefix of the logical messages that are always native events.
pub const MESSAGE_PREFIX: &str = "cacheaside";

/// An event as it came.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The subject it was published on; empty if that is not known.
    pub subject: &'a str,
    /// Its headers, in their order.
    pub headers: &'a [(String, String)],
    /// Its bytes.
    pub payload: &'a [u8],
}

/// What the rules file says about reading events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The one format that is read; by default each event's shape tells its own.
    pub format: Option<Format>,
    /// The prefixes of logical messages that are native events, beside
    /// [`MESSAGE_PREFIX`].
    pub messages: Vec<Prefix>,
}

/// A prefix of logical messages that are native events.
#[derive(Clone, Debug, PartialEq)]
pub struct Prefix {
    /// The prefix, to the letter.
    pub text: String,
    /// The cache that they are about if they name none.
    pub cache: Option<Name>,
}

/// The words of `format` in a rules file.
pub const FORMATS: [(&str, Option<Format>); 11] = [
    ("auto", None),
    ("native", Some(Format::Native)),
    ("debezium", Some(Format::Debezium)),
    ("sequin", Some(Format::Sequin)),
    ("wal-listener", Some(Format::WalListener)),
    ("wal2json", Some(Format::Wal2Json)),
    ("pgstream", Some(Format::Pgstream)),
    ("maxwell", Some(Format::Maxwell)),
    ("canal", Some(Format::Canal)),
    ("cockroachdb", Some(Format::CockroachDb)),
    ("cloudevents", Some(Format::CloudEvents)),
];

impl<'a> Received<'a> {
    /// Bytes of which neither subject nor headers are known.
    pub fn bytes(payload: &'a [u8]) -> Self {
        Self {
            subject: "",
            headers: &[],
            payload,
        }
    }

    /// The first header of this name. Upper and lower case are the same in it, because
    /// not every client keeps them.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl Reading {
    /// The cache of logical messages with this prefix that name none, if messages
    /// with it are native events at all.
    pub fn message(&self, prefix: &str) -> Option<Option<&Name>> {
        let mut asked = self.messages.iter();
        match asked.find(|known| known.text == prefix) {
            Some(known) => Some(known.cache.as_ref()),
            None => (prefix == MESSAGE_PREFIX).then_some(None),
        }
    }
}
