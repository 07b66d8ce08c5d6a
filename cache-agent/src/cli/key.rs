//! Which entry a command is about.

use crate::cli::say::Trouble;
use bytes::Bytes;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// A cache and a key in it.
#[derive(Clone, Debug, clap::Args)]
pub struct Key {
    /// The cache
    pub cache: String,
    /// The key
    key: OsString,
    /// The key is given in base64
    #[arg(long)]
    base64: bool,
}

impl Key {
    /// The key's bytes.
    ///
    /// # Errors
    /// What was said to be base64 is not.
    pub fn bytes(&self) -> Result<Bytes, Trouble> {
        bytes(&self.key, self.base64)
    }
}

/// The bytes of a key.
///
/// # Errors
/// As [`Key::bytes`].
pub fn bytes(key: &OsString, base64: bool) -> Result<Bytes, Trouble> {
    use base64::Engine;
    let given = key.clone().into_vec();
    if !base64 {
        return Ok(given.into());
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(&given);
    decoded.map(Bytes::from).map_err(|error| {
        Trouble::usage(format!(
            "the key is not base64: {error}; leave --base64 out if it is the key itself"
        ))
    })
}
