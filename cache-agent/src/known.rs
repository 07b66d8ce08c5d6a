//! Who may call: the identities of the settings, each with the tokens of its file.

use crate::config::Identity;
use arc_swap::ArcSwap;
use parking_lot::RwLock;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use subtle::{Choice, ConstantTimeEq};

/// The shortest token, in bytes: what nobody guesses.
pub const TOKEN_LEN_MIN: usize = 16;
/// The most tokens in one file: the old and the new while they rotate, and some more.
const TOKENS_MAX: usize = 16;
/// The largest file of tokens, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Somebody who may call, by a name in the settings.
pub struct Known {
    name: String,
    identity: ArcSwap<Identity>,
    /// Any of them is good.
    tokens: RwLock<Vec<String>>,
    /// How often they changed.
    generation: AtomicU64,
}

impl Known {
    /// Whether this token is one of its own; in a time that tells nothing of them but their
    /// lengths.
    pub fn has(&self, token: &str) -> bool {
        let given = token.as_bytes();
        let tokens = self.tokens.read();
        let fits = tokens.iter().map(|own| own.as_bytes().ct_eq(given));
        fits.fold(Choice::from(0), |any, fits| any | fits).into()
    }

    /// With these tokens, of which any is good.
    pub fn new(identity: Identity, tokens: Vec<String>) -> Self {
        Self {
            name: identity.name.clone(),
            identity: ArcSwap::from_pointee(identity),
            tokens: RwLock::new(tokens),
            generation: AtomicU64::new(0),
        }
    }

    /// What it is called, which never changes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is and may do at this moment.
    pub fn identity(&self) -> Arc<Identity> {
        self.identity.load_full()
    }

    /// How often its tokens changed.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Is this from here on, with these tokens.
    pub fn becomes(&self, identity: Identity, tokens: Vec<String>) {
        if *self.tokens.read() != tokens {
            // No old token has what comes, nor a new one what was.
            self.has_tokens(Vec::new());
        }
        self.identity.store(Arc::new(identity));
        self.has_tokens(tokens);
    }

    /// Nobody is it from here on.
    pub fn is_gone(&self) {
        let mut identity = Identity::clone(&self.identity.load());
        (identity.uid, identity.token) = (None, None);
        self.becomes(identity, Vec::new());
    }

    fn has_tokens(&self, tokens: Vec<String>) {
        if *self.tokens.read() == tokens {
            return;
        }
        let identity = self.name.as_str();
        tracing::info!(identity, "its tokens have changed");
        *self.tokens.write() = tokens;
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Reads the file of its tokens again. Where that fails, what it said last is good.
    pub fn reread(&self) {
        let identity = self.identity.load_full();
        let Some(file) = &identity.token else {
            return;
        };
        match tokens(file) {
            Ok(found) => self.has_tokens(found),
            Err(problem) => tracing::warn!(problem, "what a file of tokens said last is good"),
        }
    }
}

/// Reads a file with a token on each line.
///
/// # Errors
/// What is wrong with it.
pub fn tokens(file: &Path) -> Result<Vec<String>, String> {
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

/// Without tokens.
impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity.load().fmt(f)
    }
}
