//! The seam of the source of record: how a value comes from it.

use crate::model::as_of::AsOf;
use crate::model::position::Position;
use crate::model::tag::Tag;
use async_trait::async_trait;
use bytes::Bytes;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// The longest validator, in bytes.
pub const VALIDATOR_LEN_MAX: usize = 255;

/// What a loader is asked for.
#[non_exhaustive]
pub struct Wanted<V> {
    /// The key.
    pub key: Arc<[u8]>,
    /// How far the value must reach to be kept, and to be what the caller asked for. A
    /// replica that has not come this far answers with something older; a loader that
    /// reads replicas goes to the primary then.
    pub at_least: Position,
    /// Whether every commit from before this load must be in it: no replica will do,
    /// however far it is.
    pub strict: bool,
    /// What the cache still has of it, for a source that can say whether that is what it
    /// has, too ([`Loaded::unchanged`]). Nothing that was invalidated.
    pub stale: Option<Stale<V>>,
}

/// A value or an absence that has grown old; clones share it.
pub struct Stale<V>(Arc<dyn Known<V>>);

/// What is known of an old entry.
pub(crate) trait Known<V>: Send + Sync {
    fn value(&self) -> Option<&V>;
    fn validator(&self) -> Option<&[u8]>;
}

impl<V> Stale<V> {
    pub(crate) fn new(known: Arc<dyn Known<V>>) -> Self {
        Self(known)
    }

    /// The value; `None` is a known absence.
    pub fn value(&self) -> Option<&V> {
        self.0.value()
    }

    /// What its loader had said to tell it by: an ETag, the version of a row.
    pub fn validator(&self) -> Option<&[u8]> {
        self.0.validator()
    }
}

impl<V> Wanted<V> {
    pub(crate) fn new(
        key: Arc<[u8]>,
        at_least: Position,
        strict: bool,
        stale: Option<Stale<V>>,
    ) -> Self {
        Self {
            key,
            at_least,
            strict,
            stale,
        }
    }

    /// The key as text; what is not UTF-8 in it is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.key).into_owned()
    }
}

/// What a loader found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<V> {
    /// The value; `None` if the source has none.
    pub value: Option<V>,
    /// Where it was read. Value and as-of must come from one statement.
    pub as_of: AsOf,
    /// Tags to invalidate it by.
    pub tags: Vec<Tag>,
    /// How long it lives, if not as the policy says; at most 30 days.
    pub ttl: Option<Duration>,
    /// Whether it is cached at all, if it may be: an empty answer of a source that is still
    /// filling up had better not be.
    pub keep: bool,
    /// What tells it from another value of its key: an ETag, the version of a row. The next
    /// load is shown it ([`Wanted::stale`]). At most [`VALIDATOR_LEN_MAX`] bytes.
    pub validator: Option<Bytes>,
    pub(crate) is_unchanged: bool,
}

impl<V> Loaded<V> {
    /// A value read from the primary.
    pub fn value(value: V) -> Self {
        Some(value).into()
    }

    /// The knowledge that the source has none.
    pub fn absent() -> Self {
        None.into()
    }

    /// The source has what [`Wanted::stale`] showed: it lives anew, with its tags and its
    /// validator, unless others are given.
    pub fn unchanged() -> Self {
        Self {
            is_unchanged: true,
            ..Self::absent()
        }
    }

    /// The same, living so long.
    #[must_use]
    pub fn living(self, ttl: Duration) -> Self {
        Self {
            ttl: Some(ttl),
            ..self
        }
    }

    /// The same, for this caller alone.
    #[must_use]
    pub fn not_kept(self) -> Self {
        Self {
            keep: false,
            ..self
        }
    }

    /// The same, told from other values by this.
    #[must_use]
    pub fn validated_by(self, validator: impl Into<Bytes>) -> Self {
        Self {
            validator: Some(validator.into()),
            ..self
        }
    }

    /// The same, read elsewhere than from the primary.
    #[must_use]
    pub fn read_at(self, as_of: AsOf) -> Self {
        Self { as_of, ..self }
    }

    /// The same, with tags.
    #[must_use]
    pub fn tagged(self, tags: impl IntoIterator<Item = Tag>) -> Self {
        Self {
            tags: tags.into_iter().collect(),
            ..self
        }
    }
}

impl<V> From<Option<V>> for Loaded<V> {
    fn from(value: Option<V>) -> Self {
        Self {
            value,
            as_of: AsOf::Leased,
            tags: Vec::new(),
            ttl: None,
            keep: true,
            validator: None,
            is_unchanged: false,
        }
    }
}

/// Why a writer did not finish. Any error becomes [`WriteError::Uncertain`] by `?`: only
/// the writer itself can know that nothing was written.
#[derive(Debug)]
pub enum WriteError {
    /// The source is as it was: the transaction was rolled back, or never begun.
    NotWritten(Cause),
    /// The same, and it will never take this: a constraint says no. Written behind, it is
    /// put aside for people instead of being tried again.
    Refused(Cause),
    /// The source may or may not have been written: the connection broke during the commit.
    Uncertain(Cause),
}

impl WriteError {
    /// The source will never take this.
    pub fn refused(cause: impl Into<Cause>) -> Self {
        Self::Refused(cause.into())
    }

    /// The source is as it was.
    pub fn not_written(cause: impl Into<Cause>) -> Self {
        Self::NotWritten(cause.into())
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for WriteError {
    fn from(error: E) -> Self {
        Self::Uncertain(error.into())
    }
}

/// Writes values to the source of record.
#[async_trait]
pub trait Writer<V>: Send + Sync + 'static {
    /// Writes one key, or deletes it where there is no value. On return it is committed.
    ///
    /// What it returns is cached: what the source holds from the commit on, the whole of
    /// it, and with [`AsOf::Position`] where the source tells the commit's position. Without
    /// one, the value is cached until its own change event comes.
    ///
    /// # Errors
    /// Whether the source was written, as far as the writer knows.
    async fn write(&self, key: Arc<[u8]>, value: Option<V>) -> Result<Loaded<V>, WriteError>;
}

#[async_trait]
impl<V, F, Fut, L> Writer<V> for F
where
    V: Send + 'static,
    F: Fn(Arc<[u8]>, Option<V>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<L, WriteError>> + Send,
    L: Into<Loaded<V>> + 'static,
{
    async fn write(&self, key: Arc<[u8]>, value: Option<V>) -> Result<Loaded<V>, WriteError> {
        self(key, value).await.map(Into::into)
    }
}

/// One write that has waited in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due<V> {
    /// The key.
    pub key: Arc<[u8]>,
    /// The value; `None` deletes the key.
    pub value: Option<V>,
    /// Grows with each write of the queue. A source that keeps it beside the row, and leaves
    /// a row alone that has this or a higher one, has no write twice and none out of order,
    /// whatever fails.
    pub version: u64,
}

/// Writes many values to the source of record in one call.
#[async_trait]
pub trait BulkWriter<V>: Send + Sync + 'static {
    /// Writes keys, each at most once in a call. On return all of them are committed, or were
    /// already there with this version or a higher one.
    ///
    /// It answers for each key, in their order, what the source holds from the commit on;
    /// that is cached as [`Writer::write`] says. Nothing for a key only invalidates it:
    /// a row that was left alone, or a value that nobody will read soon.
    ///
    /// # Errors
    /// Whether the source was written, as far as the writer knows. All of them are written
    /// again, but for [`WriteError::Refused`]: then they are given in halves, and the one
    /// that is refused alone is put aside.
    async fn write_many(&self, due: Vec<Due<V>>) -> Result<Vec<Option<Loaded<V>>>, WriteError>;
}

#[async_trait]
impl<V, F, Fut, L> BulkWriter<V> for F
where
    V: Send + 'static,
    F: Fn(Vec<Due<V>>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Vec<L>, WriteError>> + Send,
    L: Into<Option<Loaded<V>>> + 'static,
{
    async fn write_many(&self, due: Vec<Due<V>>) -> Result<Vec<Option<Loaded<V>>>, WriteError> {
        Ok(self(due).await?.into_iter().map(Into::into).collect())
    }
}

/// The cause of a failed load, in the source's own words.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Loads values from the source of record.
///
/// A load must begin its read when it is called, on a fresh snapshot: never inside
/// a transaction that was open before, whose view is older than the lease.
#[async_trait]
pub trait Loader<V: Send + Sync + 'static>: Send + Sync + 'static {
    /// Reads one key.
    ///
    /// # Errors
    /// The source's own; callers see it as the cause of `Kind::LoadFailed`.
    async fn load(&self, wanted: Wanted<V>) -> Result<Loaded<V>, Cause>;

    /// Whether [`Loader::load_many`] reads many keys in one go. Otherwise the keys of a batch
    /// are loaded one by one, each in a turn of its own.
    fn is_bulk(&self) -> bool {
        false
    }

    /// Reads many keys, and answers in their order, an absence where there is nothing.
    ///
    /// # Errors
    /// As [`Loader::load`], for all of them.
    async fn load_many(&self, wanted: Vec<Wanted<V>>) -> Result<Vec<Loaded<V>>, Cause> {
        let mut all = Vec::with_capacity(wanted.len());
        for one in wanted {
            all.push(self.load(one).await?);
        }
        Ok(all)
    }
}

#[async_trait]
impl<V, F, Fut, L, E> Loader<V> for F
where
    V: Send + Sync + 'static,
    F: Fn(Wanted<V>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<L, E>> + Send,
    L: Into<Loaded<V>> + 'static,
    E: Into<Cause> + 'static,
{
    async fn load(&self, wanted: Wanted<V>) -> Result<Loaded<V>, Cause> {
        match self(wanted).await {
            Ok(loaded) => Ok(loaded.into()),
            Err(cause) => Err(cause.into()),
        }
    }
}

impl<V> Clone for Stale<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V> fmt::Debug for Stale<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stale")
            .field("validator", &self.validator())
            .finish_non_exhaustive()
    }
}

impl<V> Clone for Wanted<V> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            at_least: self.at_least,
            strict: self.strict,
            stale: self.stale.clone(),
        }
    }
}

impl<V> fmt::Debug for Wanted<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted")
            .field("key", &self.text())
            .field("at_least", &self.at_least)
            .field("strict", &self.strict)
            .field("stale", &self.stale)
            .finish()
    }
}
