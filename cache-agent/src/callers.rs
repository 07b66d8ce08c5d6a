//! Who may call, and what: a layer behind the gate that asks for a token, and the
//! permissions that come of it.
//!
//! A caller is known by the token in its file, or by the user that its process runs as on
//! the Unix socket. Without any identity in the settings nobody is asked.

use crate::config::{Identity, Operation};
use crate::failure::{Failure, Reason};
use crate::known::{self, Known};
use crate::names::Names;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::transport::server::UdsConnectInfo;
use tower::{Layer, Service};

/// What the paths of the API begin with. Health and reflection tell nothing of caches, and
/// probes have no tokens.
const API: &str = "/cacheaside.";
/// The method that carries calls of others.
const EXCHANGE: &str = "Exchange";
/// The header, in which the token follows a word.
const HEADER: &str = "authorization";
const WORD: &str = "bearer ";
/// The most characters of a cache's name that an error repeats.
const SHOWN_MAX: usize = 64;
/// How often files are read: so long an old token is good after it was taken away.
const REREAD: Duration = Duration::from_secs(1);

/// All who may call. Clones share them and their tokens.
#[derive(Clone, Debug, Default)]
pub struct Callers(Arc<All>);

#[derive(Debug, Default)]
struct All {
    known: ArcSwap<Vec<Arc<Known>>>,
    /// Held by whoever reads files and writes what they say: one at a time, so that what was
    /// read first is not written last.
    changing: Mutex<()>,
}

/// Somebody who may call, for as long as that is good by which it is known.
#[derive(Clone, Debug)]
pub struct Caller {
    known: Arc<Known>,
    by: By,
    /// What it was when it was known.
    then: Arc<Identity>,
}

/// By what somebody is known.
#[derive(Clone)]
enum By {
    /// A token, and when it was last good.
    Token { text: Arc<str>, generation: u64 },
    /// The user that its process runs as.
    User(u32),
}

/// A service whose callers are asked for.
#[derive(Clone, Debug)]
pub struct Asked<S> {
    inner: S,
    callers: Callers,
}

impl Callers {
    /// Reads the tokens of these identities.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub fn new(identities: Vec<Identity>) -> Result<Self, String> {
        let callers = Self::default();
        callers.renew(identities)?;
        Ok(callers)
    }

    /// These may call from here on. Whoever is known already goes on, with the permissions
    /// that its identity has; whose identity is gone is known no longer.
    ///
    /// # Errors
    /// What is wrong with a file: then nothing has changed.
    pub fn renew(&self, identities: Vec<Identity>) -> Result<(), String> {
        let _turn = self.0.changing.lock();
        let read = identities.into_iter().map(|identity| {
            let tokens = identity.token.as_deref().map(known::tokens).transpose()?;
            Ok((identity, tokens.unwrap_or_default()))
        });
        let read = read.collect::<Result<Vec<_>, String>>()?;
        let before = self.0.known.load_full();
        let all = read.into_iter().map(|(identity, tokens)| {
            let same = before.iter().find(|known| known.name() == identity.name);
            match same {
                Some(known) => {
                    known.becomes(identity, tokens);
                    known.clone()
                }
                None => Arc::new(Known::new(identity, tokens)),
            }
        });
        let all: Vec<_> = all.collect();
        for gone in before.iter() {
            if !all.iter().any(|known| known.name() == gone.name()) {
                gone.is_gone();
            }
        }
        self.0.known.store(Arc::new(all));
        Ok(())
    }

    /// Reads the files again and again, for ever. Where one cannot be read, what it said
    /// last is good.
    pub async fn reread(self) {
        let mut turn = tokio::time::interval(REREAD);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            self.reread_now();
        }
    }

    /// Reads the files again.
    pub fn reread_now(&self) {
        let _turn = self.0.changing.lock();
        self.0.known.load().iter().for_each(|known| known.reread());
    }

    /// Whether anybody is asked at all.
    pub fn ask(&self) -> bool {
        !self.0.known.load().is_empty()
    }

    /// Whose token this is.
    pub fn holder(&self, token: &str) -> Option<Caller> {
        // All of them, so that the time does not tell whose token is nearly right.
        let all = self.0.known.load();
        let (known, generation) = all.iter().fold(None, |found, known| {
            // Before the look: whatever changes from here on is noticed.
            let generation = known.generation();
            match known.has(token) {
                true => Some((known, generation)),
                false => found,
            }
        })?;
        Some(Caller {
            known: known.clone(),
            by: By::Token {
                text: token.into(),
                generation,
            },
            then: known.identity(),
        })
    }

    /// Whether whoever sent these headers may call this method of an operator's: as one that
    /// has no permission of its own.
    ///
    /// # Errors
    /// As of a call.
    pub fn operator(&self, headers: &HeaderMap, method: &str) -> Result<(), Failure> {
        match self.ask() {
            true => self.who(headers, None)?.may_call(method),
            false => Ok(()),
        }
    }

    /// Who sent these headers.
    fn who(&self, headers: &HeaderMap, user: Option<u32>) -> Result<Caller, Failure> {
        let header = headers.get(HEADER);
        let found = match header {
            Some(header) => {
                let token = header.to_str().ok().and_then(bearer);
                let token = token.ok_or_else(|| invalid("it is no `Bearer <token>`"))?;
                self.holder(token)
            }
            None => {
                let all = self.0.known.load();
                user.and_then(|user| {
                    let is = |known: &&Arc<Known>| known.identity().uid == Some(user);
                    let known = all.iter().find(is)?;
                    Some(Caller {
                        known: known.clone(),
                        by: By::User(user),
                        then: known.identity(),
                    })
                })
            }
        };
        match (found, header) {
            (Some(caller), _) => Ok(caller),
            (None, Some(_)) => Err(invalid("nobody has this token, or has it any longer")),
            (None, None) => Err(Failure::new(
                Reason::TokenMissing,
                "nobody knows who is calling; send `authorization: Bearer <token>`",
            )),
        }
    }
}

impl Caller {
    /// # Errors
    /// [`Reason::CacheForbidden`] when it may not use one of these caches.
    pub fn may_use<'a>(&self, caches: impl IntoIterator<Item = &'a str>) -> Result<(), Failure> {
        let identity = self.identity();
        let Some(own) = &identity.caches else {
            return Ok(());
        };
        let mut caches = caches.into_iter();
        match caches.find(|cache| !own.contains(*cache)) {
            None => Ok(()),
            Some(cache) => {
                let shown: String = cache.chars().take(SHOWN_MAX).collect();
                Err(self.forbidden(format!("may not use the cache `{shown}`")))
            }
        }
    }

    /// The caches that it may use; nothing if that is all of them.
    pub fn caches(&self) -> Option<Vec<String>> {
        let identity = self.identity();
        let own = identity.caches.as_ref()?;
        Some(own.iter().map(|cache| cache.as_str().to_owned()).collect())
    }

    /// Whether it may call this method with these caches.
    ///
    /// # Errors
    /// [`Reason::CacheForbidden`].
    pub fn may<'a>(
        &self,
        method: &str,
        caches: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), Failure> {
        self.may_call(method)?;
        self.may_use(caches)
    }

    /// Whether it is known still: connections and streams live for days.
    ///
    /// # Errors
    /// [`Reason::TokenInvalid`].
    pub fn is_known(&self) -> Result<(), Failure> {
        let good = match &self.by {
            By::Token { text, generation } => {
                let current = self.known.generation();
                *generation == current || self.known.has(text)
            }
            By::User(user) => self.identity().uid == Some(*user),
        };
        match good {
            true => Ok(()),
            false => Err(invalid("it was taken away")),
        }
    }

    /// Whether it is known, and has the permissions from when it was: what a stream was
    /// begun with.
    ///
    /// # Errors
    /// [`Reason::TokenInvalid`], and [`Reason::CacheForbidden`] after the permissions changed.
    pub fn is_as_before(&self) -> Result<(), Failure> {
        self.is_known()?;
        let identity = self.identity();
        match identity.caches == self.then.caches && identity.may == self.then.may {
            true => Ok(()),
            false => Err(self.forbidden("has other permissions by now; begin again".to_owned())),
        }
    }

    fn identity(&self) -> Arc<Identity> {
        self.known.identity()
    }

    /// Whether it may call this method at all. An exchange is none by itself: each of its
    /// calls is asked for.
    fn may_call(&self, method: &str) -> Result<(), Failure> {
        self.is_known()?;
        if method == EXCHANGE {
            return Ok(());
        }
        let identity = self.identity();
        let Identity { may, caches, .. } = &*identity;
        let allowed = match Operation::of(method) {
            Some(operation) => may.contains(&operation),
            // What has no permission of its own is for those who may do everything.
            None => caches.is_none() && Operation::ALL.iter().all(|each| may.contains(each)),
        };
        match allowed {
            true => Ok(()),
            false => Err(self.forbidden(format!("may not call {method}"))),
        }
    }

    fn forbidden(&self, what: String) -> Failure {
        let name = self.known.name();
        let message = format!("`{name}` {what}; see its [[identity]] in the agent's file");
        Failure::new(Reason::CacheForbidden, message).with("identity", name)
    }
}

/// Whether whoever sent this may use the caches that it names.
///
/// # Errors
/// [`Reason::CacheForbidden`].
pub fn permit<T: Names>(request: &tonic::Request<T>) -> Result<(), Failure> {
    match request.extensions().get::<Caller>() {
        Some(caller) => caller.may_use(request.get_ref().caches()),
        // Nobody is asked.
        None => Ok(()),
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (word, token) = header.split_at_checked(WORD.len())?;
    word.eq_ignore_ascii_case(WORD).then(|| token.trim())
}

fn invalid(why: &str) -> Failure {
    Failure::new(Reason::TokenInvalid, format!("the token is refused: {why}"))
}

impl<S> Layer<S> for Callers {
    type Service = Asked<S>;

    fn layer(&self, inner: S) -> Asked<S> {
        Asked {
            inner,
            callers: self.clone(),
        }
    }
}

impl<S, B> Service<Request<B>> for Asked<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let method = path.strip_prefix(API).and_then(|path| path.split_once('/'));
        let Some((_, method)) = method.filter(|_| self.callers.ask()) else {
            return Box::pin(self.inner.call(request));
        };
        let peer = request.extensions().get::<UdsConnectInfo>();
        let user = peer.and_then(|peer| Some(peer.peer_cred?.uid()));
        let who = self.callers.who(request.headers(), user);
        let who = who.and_then(|caller| caller.may_call(method).map(|()| caller));
        match who {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Box::pin(self.inner.call(request))
            }
            Err(failure) => {
                let refusal = Status::from(failure).into_http::<Body>();
                Box::pin(ready(Ok(refusal)))
            }
        }
    }
}

/// Without the text of a token.
impl fmt::Debug for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { .. } => f.write_str("a token"),
            Self::User(user) => write!(f, "user {user}"),
        }
    }
}
