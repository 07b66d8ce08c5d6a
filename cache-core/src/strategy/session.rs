//! Reads and writes of one client, of which none goes back behind another, whatever
//! processes it talks to.

use super::cache_aside::{Hit, Lookup, alone};
use super::commit::Receipt;
use super::unleased::SetOutcome;
use crate::error::Error;
use crate::fill::{Ask, Tiers};
use crate::model::key::Key;
use crate::model::position::Position;
use crate::model::session::Session;
use crate::source::{Cause, Loaded, Wanted};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A cache in the hands of one client: what it reads is no older than what its [`Session`]
/// has seen and written, and is noted there.
///
/// A position with an offset is asked of every key of the domain. A bucket in which nothing
/// has changed since cannot show that it is that far, and its key is loaded: whoever wants no
/// more than to read its own writes notes those ([`InSession::wrote`]), and reads with
/// [`InSession::ask`], which notes nothing.
pub struct InSession<'a, V> {
    tiers: Arc<Tiers<V>>,
    session: &'a mut Session,
}

impl<'a, V: Send + Sync + 'static> InSession<'a, V> {
    pub(crate) fn new(tiers: Arc<Tiers<V>>, session: &'a mut Session) -> Self {
        Self { tiers, session }
    }

    /// What the session asks of a key, for the reads of other handles, such as
    /// [`crate::ReadThrough::get_with`].
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for a key outside its limits, or a session of another domain.
    pub fn ask(&self, key: impl AsRef<[u8]>) -> Result<Ask, Error> {
        self.ask_of(Key::new(key.as_ref())?)
    }

    /// Notes that a value of a key was seen, by its [`Hit::as_of`].
    ///
    /// # Errors
    /// As [`InSession::ask`].
    pub fn saw(&mut self, key: impl AsRef<[u8]>, as_of: Position) -> Result<(), Error> {
        self.note(Key::new(key.as_ref())?, as_of)
    }

    /// Notes that a key was written. If L2 was away and gave it no position, whatever comes
    /// from the key's bucket is loaded from the primary for this session, until a change of
    /// that bucket has come by the stream.
    ///
    /// # Errors
    /// As [`InSession::ask`].
    pub fn wrote(&mut self, key: impl AsRef<[u8]>, receipt: &Receipt) -> Result<(), Error> {
        self.changed(Key::new(key.as_ref())?, receipt.position)
    }

    /// Looks a key up. A hit is noted; an absence has no position to note.
    ///
    /// # Errors
    /// As [`InSession::ask`].
    pub async fn get(&mut self, key: impl AsRef<[u8]>) -> Result<Lookup<V>, Error> {
        let key = Key::new(key.as_ref())?;
        let lookup = self.tiers.get(key, &self.ask_of(key)?).await;
        if let Lookup::Hit(hit) = &lookup {
            self.note(key, hit.as_of())?;
        }
        Ok(lookup)
    }

    /// The value of a key, loaded by `load` on a miss; `None` if the source has none. Either
    /// is noted.
    ///
    /// # Errors
    /// As [`InSession::ask`], and the load's.
    pub async fn get_or_load<F, Fut, L, E>(
        &mut self,
        key: impl AsRef<[u8]>,
        load: F,
    ) -> Result<Option<Hit<V>>, Error>
    where
        F: FnOnce(Wanted<V>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<L, E>> + Send,
        L: Into<Loaded<V>>,
        E: Into<Cause>,
    {
        let key = Key::new(key.as_ref())?;
        let ask = self.ask_of(key)?;
        let served = self.tiers.get_or_load(key, &ask, alone(load)).await?;
        self.note(key, served.held.entry.as_of)?;
        Ok(Hit::of(served))
    }

    /// Invalidates a key everywhere, after the client's own commit, and notes it as
    /// [`InSession::wrote`] does. Returns whether L2 has it already.
    ///
    /// # Errors
    /// As [`crate::Cache::invalidate`], and for a session of another domain; the key is
    /// invalidated then all the same.
    pub async fn invalidate(&mut self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = Key::new(key.as_ref())?;
        let announced = self.tiers.announce_key(key, None).await;
        self.changed(key, announced.as_ref().ok().copied().flatten())?;
        announced.map(|position| position.is_some())
    }

    /// Stores a value as [`crate::Cache::set`] does, and notes the key as written: at a
    /// position that nobody knows if the value was stored, see [`InSession::wrote`].
    ///
    /// # Errors
    /// As [`crate::Cache::set`], and for a session of another domain; the value is set then
    /// all the same.
    pub async fn set(
        &mut self,
        key: impl AsRef<[u8]>,
        loaded: impl Into<Loaded<V>>,
        ttl: Option<Duration>,
    ) -> Result<SetOutcome, Error> {
        let key = Key::new(key.as_ref())?;
        let (outcome, position) = self.tiers.set_unleased(key, loaded.into(), ttl).await?;
        self.changed(key, position)?;
        Ok(outcome)
    }

    /// Stores a value as [`crate::Cache::set_if_absent`] does, and notes the key as
    /// [`InSession::set`] does if it was stored.
    ///
    /// # Errors
    /// As [`crate::Cache::set_if_absent`], and for a session of another domain; the value is
    /// set then all the same.
    pub async fn set_if_absent(
        &mut self,
        key: impl AsRef<[u8]>,
        loaded: impl Into<Loaded<V>>,
        ttl: Option<Duration>,
    ) -> Result<Option<SetOutcome>, Error> {
        let key = Key::new(key.as_ref())?;
        let outcome = self.tiers.set_if_absent(key, loaded.into(), ttl).await?;
        if outcome == Some(SetOutcome::Stored) {
            self.changed(key, None)?;
        }
        Ok(outcome)
    }

    fn ask_of(&self, key: Key<'_>) -> Result<Ask, Error> {
        let bucket = self.tiers.space.hash(key).bucket();
        let asked = self.session.asked(self.tiers.domain.name(), bucket)?;
        Ok(Ask {
            primary: asked.primary,
            ..Ask::at_least(asked.at_least)
        })
    }

    fn note(&mut self, key: Key<'_>, seen: Position) -> Result<(), Error> {
        let bucket = self.tiers.space.hash(key).bucket();
        self.session.note(self.tiers.domain.name(), bucket, seen)
    }

    fn changed(&mut self, key: Key<'_>, position: Option<Position>) -> Result<(), Error> {
        let bucket = self.tiers.space.hash(key).bucket();
        // Nothing that was applied so far is sure to be after it.
        let known = || self.tiers.domain.horizon().known(bucket).highest();
        let unknown = || Position {
            tick: u32::MAX,
            ..known()
        };
        self.note(key, position.unwrap_or_else(unknown))
    }
}

impl<V> fmt::Debug for InSession<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InSession")
            .field("tiers", &self.tiers)
            .field("session", &self.session)
            .finish()
    }
}
