//! Where a NATS is:
//!
//! ```toml
//! url = "nats://127.0.0.1:4222"              # or tls://…, several separated by commas
//! nkey_file = "/run/secrets/nkey"            # a seed; or
//! credentials_file = "/run/secrets/my.creds" # a JWT with its seed; or
//! user = "cache"                             # with a password
//! password_file = "/run/secrets/nats"
//! tls_ca = "/etc/tls/ca.pem"                 # and more, see [`crate::config::access`]
//! ```

use crate::access::Login;
use crate::bus::server::{NatsAt, NatsLogin};
use crate::config::access::{file, has_tls, login, tls};
use crate::config::reader::Section;
use std::path::PathBuf;

/// The keys, of which one says who this process is.
const LOGINS: [&str; 3] = ["nkey_file", "credentials_file", "password_file"];

/// Reads them; `None` without an address.
pub fn at(section: &mut Section<'_>) -> Option<NatsAt> {
    let urls = section.opt_parsed("url", urls);
    let nkey = file(section, "nkey_file");
    let credentials = file(section, "credentials_file");
    let given = urls.clone().unwrap_or_default();
    let login = login(section, &given.split(',').collect::<Vec<_>>());
    once(section, &given);
    let others = ["user", "tls_ca", "tls_cert", "tls_key"]
        .iter()
        .chain(&LOGINS);
    if let (false, Some(key)) = (
        section.has("url"),
        others.into_iter().find(|key| section.has(key)),
    ) {
        let wrong = format!("`{key}` without `url`: the address of NATS");
        section.complain(key, wrong);
    }
    let encrypted = has_tls(section) || given.split(',').any(|url| url.trim().starts_with("tls:"));
    let tls = tls(section, false);
    Some(NatsAt {
        urls: urls?,
        login: who(nkey, credentials, login),
        tls: encrypted.then_some(tls),
    })
}

/// Reads them where there must be an address.
pub fn required(section: &mut Section<'_>) -> Option<NatsAt> {
    let at = at(section);
    if !section.has("url") {
        section.complain("url", "`url` is missing: the address of NATS".to_owned());
    }
    at
}

fn who(nkey: Option<PathBuf>, credentials: Option<PathBuf>, login: Login) -> NatsLogin {
    match (nkey, credentials) {
        (Some(file), _) => NatsLogin::Nkey(file),
        (None, Some(file)) => NatsLogin::Credentials(file),
        (None, None) => NatsLogin::user(login),
    }
}

/// Complains of a second way in.
fn once(section: &mut Section<'_>, urls: &str) {
    let in_url = urls.split(',').map(crate::access::login_in);
    let in_url = in_url.into_iter().any(|login| login != Login::default());
    let given: Vec<_> = LOGINS.into_iter().filter(|key| section.has(key)).collect();
    for later in given.iter().skip(1) {
        let wrong = format!(
            "`{}` says already who this process is; keep one of them",
            given[0]
        );
        section.complain(later, wrong);
    }
    let is_key = |key: &&&str| **key != "password_file";
    if let (true, Some(key)) = (in_url, given.iter().find(is_key)) {
        let wrong = "the address says already who this process is; keep one of them";
        section.complain(key, wrong.to_owned());
    }
}

/// Reads addresses separated by commas.
///
/// # Errors
/// What is wrong with them.
pub fn urls(text: &str) -> Result<String, String> {
    let known = ["nats://", "tls://"];
    let fits = |url: &str| known.iter().any(|scheme| url.trim().starts_with(scheme));
    match text.split(',').all(fits) {
        true => Ok(text.to_owned()),
        false => Err("an address looks like nats://host:4222".to_owned()),
    }
}
