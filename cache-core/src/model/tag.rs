//! A tag: a word on entries, by which many are invalidated at once.

use crate::error::{Error, Kind};
use std::fmt;
use std::sync::Arc;

/// The longest tag, in bytes.
pub const TAG_LEN_MAX: usize = 128;
/// The most tags on one entry.
pub const TAGS_MAX: usize = 32;

/// A word on entries, by which many are invalidated at once.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

impl Tag {
    /// Checks the text: 1 to 128 bytes, not `*`.
    ///
    /// # Errors
    /// [`Kind::Invalid`] outside these limits.
    pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
        let text = text.as_ref();
        if text.is_empty() || text.len() > TAG_LEN_MAX {
            return Err(Error::new(Kind::Invalid, "reading a tag", text)
                .hint(format!("a tag has 1 to {TAG_LEN_MAX} bytes")));
        }
        if text == "*" {
            return Err(Error::new(Kind::Invalid, "reading a tag", text)
                .hint("`*` is the tag that every entry of a cache has; use Tag::all()"));
        }
        Ok(Self(text.into()))
    }

    /// The tag that every entry of a cache has: invalidating it clears the cache.
    pub fn all() -> Self {
        Self("*".into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({})", self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
