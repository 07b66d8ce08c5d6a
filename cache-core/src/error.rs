//! One error type: what kind it is, what was being done, to what, and what to do.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// Anything that can go wrong at the public border of this crate.
///
/// Clones share the cause, because one failed load answers every caller that
/// waited for it.
#[derive(Clone, Debug)]
pub struct Error(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    doing: &'static str,
    subject: String,
    hint: Option<Cow<'static, str>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kind of an [`Error`]: what a program decides on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A key, tag, cache name, value or setting outside its limits.
    Invalid,
    /// A cache that is not configured.
    UnknownCache,
    /// Too many loads run or wait already; the source is protected.
    Overloaded,
    /// The loader failed for many keys in a row, and is left alone for a moment.
    SourceDown,
    /// The loader did not answer within its time.
    LoadTimeout,
    /// The loader answered with an error of its own.
    LoadFailed,
    /// The loader panicked.
    LoadPanicked,
    /// The writer did not write; the source is as it was.
    WriteFailed,
    /// Nobody knows whether the source was written: the writer did not answer in time,
    /// panicked, or could not say. Read the source before writing again.
    WriteUncertain,
    /// L2 or the bus could not be reached.
    Unavailable,
    /// L2 holds data written under other fixed settings.
    Mismatch,
    /// A codec could not encode a value.
    Encode,
}

impl Error {
    /// An error of `kind` that happened while `doing` something to `subject`.
    pub fn new(kind: Kind, doing: &'static str, subject: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            doing,
            subject: subject.into(),
            hint: None,
            source: None,
        }))
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.rebuild(|inner| inner.hint = Some(hint.into()))
    }

    /// Adds what the reader can do about it, if anybody knows.
    #[must_use]
    pub fn maybe_hint(self, hint: Option<&'static str>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.rebuild(|inner| inner.source = Some(source.into()))
    }

    /// What a program decides on.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What it happened to: a key, a setting, an address.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Builders run before the error is shared, so the `Arc` is still unique;
    /// a shared one is left as it is.
    fn rebuild(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            change(inner);
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        write!(f, "{}: {}: {}", inner.doing, inner.subject, inner.kind)?;
        if let Some(source) = &inner.source {
            write!(f, ": {source}")?;
        }
        if let Some(hint) = &inner.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "not within its limits",
            Self::UnknownCache => "no such cache is configured",
            Self::Overloaded => "too many loads already run or wait",
            Self::SourceDown => "the source is down",
            Self::LoadTimeout => "the loader did not answer in time",
            Self::LoadFailed => "the loader failed",
            Self::LoadPanicked => "the loader panicked",
            Self::WriteFailed => "the writer did not write",
            Self::WriteUncertain => "nobody knows whether it was written",
            Self::Unavailable => "cannot be reached",
            Self::Mismatch => "was set up with other fixed settings",
            Self::Encode => "cannot be encoded",
        })
    }
}
