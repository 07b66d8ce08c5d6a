//! Sessions as messages carry them.

use crate::failure::{Failure, Reason};
use bytes::Bytes;
use cache_core::{Ask, Cache, Error, Position, Receipt, SetOutcome};
use cache_core::{Loaded, Session};
use std::time::Duration;

/// The session of one request, if it has one.
#[derive(Clone, Debug, Default)]
pub struct Carried(Option<Session>);

impl Carried {
    /// Reads the text of a request; an empty one begins a session.
    ///
    /// # Errors
    /// [`Reason::BadSession`] for anything else than a session.
    pub fn of(text: Option<&str>) -> Result<Self, Failure> {
        let session = text.map(|text| match text {
            "" => Ok(Session::default()),
            text => text.parse().map_err(bad),
        });
        Ok(Self(session.transpose()?))
    }

    /// One that begins.
    pub fn begun() -> Self {
        Self(Some(Session::default()))
    }

    /// What it asks of a key.
    ///
    /// # Errors
    /// [`Reason::BadSession`] for one of another domain.
    pub fn ask(&mut self, cache: &Cache<Bytes>, key: &[u8]) -> Result<Ask, Failure> {
        match &mut self.0 {
            Some(session) => cache.in_session(session).ask(key).map_err(bad),
            None => Ok(Ask::default()),
        }
    }

    /// A value of a key was seen.
    ///
    /// # Errors
    /// As [`Carried::ask`].
    pub fn saw(
        &mut self,
        cache: &Cache<Bytes>,
        key: &[u8],
        as_of: Position,
    ) -> Result<(), Failure> {
        match &mut self.0 {
            Some(session) => cache.in_session(session).saw(key, as_of).map_err(bad),
            None => Ok(()),
        }
    }

    /// A key was written.
    ///
    /// # Errors
    /// As [`Carried::ask`].
    pub fn wrote(
        &mut self,
        cache: &Cache<Bytes>,
        key: &[u8],
        receipt: &Receipt,
    ) -> Result<(), Failure> {
        match &mut self.0 {
            Some(session) => cache.in_session(session).wrote(key, receipt).map_err(bad),
            None => Ok(()),
        }
    }

    /// Sets a value, and notes it.
    ///
    /// # Errors
    /// As [`Cache::set`].
    pub async fn set(
        &mut self,
        cache: &Cache<Bytes>,
        key: &[u8],
        loaded: Loaded<Bytes>,
        ttl: Option<Duration>,
    ) -> Result<SetOutcome, Error> {
        match &mut self.0 {
            Some(session) => cache.in_session(session).set(key, loaded, ttl).await,
            None => cache.set(key, loaded, ttl).await,
        }
    }

    /// Sets a value where there is none, and notes it.
    ///
    /// # Errors
    /// As [`Cache::set_if_absent`].
    pub async fn set_if_absent(
        &mut self,
        cache: &Cache<Bytes>,
        key: &[u8],
        loaded: Loaded<Bytes>,
        ttl: Option<Duration>,
    ) -> Result<Option<SetOutcome>, Error> {
        match &mut self.0 {
            Some(session) => {
                let mut cache = cache.in_session(session);
                cache.set_if_absent(key, loaded, ttl).await
            }
            None => cache.set_if_absent(key, loaded, ttl).await,
        }
    }

    /// Invalidates a key, and notes it; whether L2 has it.
    ///
    /// # Errors
    /// As [`Cache::invalidate`].
    pub async fn invalidate(&mut self, cache: &Cache<Bytes>, key: &[u8]) -> Result<bool, Error> {
        match &mut self.0 {
            Some(session) => cache.in_session(session).invalidate(key).await,
            None => cache.invalidate(key).await,
        }
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Takes over what another one has noted.
    ///
    /// # Errors
    /// [`Reason::BadSession`] for two of different domains.
    pub fn merge(&mut self, other: &Self) -> Result<(), Failure> {
        match (&mut self.0, &other.0) {
            (Some(session), Some(other)) => session.merge(other).map_err(bad),
            _ => Ok(()),
        }
    }

    /// Its text, for the answer.
    pub fn text(&self) -> Option<String> {
        self.0.as_ref().map(Session::to_string)
    }
}

fn bad(error: Error) -> Failure {
    Failure::new(Reason::BadSession, error.to_string()).at("session")
}
