//! Who may call, and what: a layer behind the gate that asks for a token, and the
//! permissions that come of it.
//!
//! A caller is known by the token in its file, or by the user that its process runs as on
//! the Unix socket. Without any identity in the settings nobody is asked.

use crate::config::{Identity, Operation};
use crate::failure::{Failure, Reason};
use crate::names::Names;
use parking_lot::RwLock;
use std::fmt;
use std::future::ready;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use subtle::{Choice, ConstantTimeEq};
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
/// The shortest token, in bytes: what nobody guesses.
pub const TOKEN_LEN_MIN: usize = 16;
/// The most tokens in one file: the old and the new while they rotate, and some more.
const TOKENS_MAX: usize = 16;
/// The largest file of tokens, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// The most characters of a cache's name that an error repeats.
const SHOWN_MAX: usize = 64;
/// How often files are read: so long an old token is good after it was taken away.
const REREAD: Duration = Duration::from_secs(1);

/// All who may call. Clones share the tokens.
#[derive(Clone, Debug, Default)]
pub struct Callers(Arc<Vec<Arc<Known>>>);

/// Somebody who may call, for as long as the token is good by which it is known.
#[derive(Clone, Debug)]
pub struct Caller {
    known: Arc<Known>,
    token: Option<Token>,
}

/// A token, and when it was last good.
#[derive(Clone)]
struct Token {
    text: Arc<str>,
    generation: u64,
}

/// A service whose callers are asked for.
#[derive(Clone, Debug)]
pub struct Asked<S> {
    inner: S,
    callers: Callers,
}

struct Known {
    identity: Identity,
    /// Any of them is good.
    tokens: RwLock<Vec<String>>,
    /// How often they changed.
    generation: AtomicU64,
}

impl Callers {
    /// Reads the tokens of these identities.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub fn new(identities: Vec<Identity>) -> Result<Self, String> {
        let known = identities.into_iter().map(|identity| {
            let tokens = identity.token.as_deref().map(tokens).transpose()?;
            Ok(Arc::new(Known {
                identity,
                tokens: RwLock::new(tokens.unwrap_or_default()),
                generation: AtomicU64::new(0),
            }))
        });
        known
            .collect::<Result<_, String>>()
            .map(|all| Self(Arc::new(all)))
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
        self.0.iter().for_each(|known| known.reread());
    }

    /// Whether anybody is asked at all.
    pub fn ask(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whose token this is.
    pub fn holder(&self, token: &str) -> Option<Caller> {
        // All of them, so that the time does not tell whose token is nearly right.
        let all = self.0.iter();
        let known = all.fold(None, |found, known| match known.has(token) {
            true => Some(known),
            false => found,
        })?;
        Some(Caller {
            known: known.clone(),
            token: Some(Token {
                text: token.into(),
                generation: known.generation.load(Ordering::Acquire),
            }),
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
                let is = |known: &&Arc<Known>| user.is_some() && known.identity.uid == user;
                let known = self.0.iter().find(is);
                known.map(|known| Caller {
                    known: known.clone(),
                    token: None,
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
        let Some(own) = &self.identity().caches else {
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
        let own = self.identity().caches.as_ref()?;
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

    /// Whether its token is good still: connections and streams live for days.
    ///
    /// # Errors
    /// [`Reason::TokenInvalid`].
    pub fn is_known(&self) -> Result<(), Failure> {
        let Some(Token { text, generation }) = &self.token else {
            return Ok(());
        };
        match *generation == self.known.generation.load(Ordering::Acquire) || self.known.has(text) {
            true => Ok(()),
            false => Err(invalid("it was taken away")),
        }
    }

    fn identity(&self) -> &Identity {
        &self.known.identity
    }

    /// Whether it may call this method at all. An exchange is none by itself: each of its
    /// calls is asked for.
    fn may_call(&self, method: &str) -> Result<(), Failure> {
        self.is_known()?;
        if method == EXCHANGE {
            return Ok(());
        }
        let Identity { may, caches, .. } = self.identity();
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
        let name = &self.identity().name;
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

impl Known {
    /// In a time that tells nothing of the tokens but their lengths.
    fn has(&self, token: &str) -> bool {
        let given = token.as_bytes();
        let tokens = self.tokens.read();
        let fits = tokens.iter().map(|own| own.as_bytes().ct_eq(given));
        fits.fold(Choice::from(0), |any, fits| any | fits).into()
    }

    fn reread(&self) {
        let Some(file) = &self.identity.token else {
            return;
        };
        match tokens(file) {
            Ok(found) if *self.tokens.read() != found => {
                let identity = self.identity.name.as_str();
                tracing::info!(identity, "its tokens have changed");
                *self.tokens.write() = found;
                self.generation.fetch_add(1, Ordering::AcqRel);
            }
            Ok(_) => {}
            Err(problem) => tracing::warn!(problem, "what a file of tokens said last is good"),
        }
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (word, token) = header.split_at_checked(WORD.len())?;
    word.eq_ignore_ascii_case(WORD).then(|| token.trim())
}

/// Reads a file with a token on each line.
fn tokens(file: &Path) -> Result<Vec<String>, String> {
    let name = file.display();
    let size = std::fs::metadata(file).map_err(|error| format!("{name}: {error}"))?;
    if size.len() > FILE_BYTES_MAX {
        return Err(format!("{name}: it is larger than 64 KiB"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let tokens: Vec<_> = lines.map(str::to_owned).collect();
    if tokens.is_empty() || tokens.len() > TOKENS_MAX {
        return Err(format!(
            "{name}: it holds no token, or more than {TOKENS_MAX}"
        ));
    }
    match tokens.iter().any(|token| token.len() < TOKEN_LEN_MIN) {
        true => Err(format!(
            "{name}: a token in it is shorter than {TOKEN_LEN_MIN} bytes; make one by \
             `openssl rand -hex 32`"
        )),
        false => Ok(tokens),
    }
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
        let Some((_, method)) = method.filter(|_| !self.callers.0.is_empty()) else {
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

/// Without its text.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }
}

/// Without tokens.
impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.fmt(f)
    }
}
