//! The keys that let a connection in, the same in every table with an address:
//!
//! ```toml
//! user = "cache"                      # or in the address
//! password_file = "/run/secrets/l2"   # read at each connection; or in the address
//! tls_ca = "/etc/tls/ca.pem"          # default: the authorities that browsers trust
//! tls_cert = "/etc/tls/client.pem"    # shown to a server that asks for it
//! tls_key = "/etc/tls/client.key"
//! tls_name = "cache.example"          # where certificates have another name than addresses
//! ```

use crate::access::{self, Identity, Login, Password, Tls};
use crate::config::reader::Section;
use crate::config::wrong::Wrong;
use std::fs::File;
use std::path::PathBuf;

/// The keys of [`tls`].
const TLS_KEYS: [&str; 4] = ["tls_ca", "tls_cert", "tls_key", "tls_name"];

/// Reads a file's place, and sees to it that the file can be read.
pub fn file(section: &mut Section<'_>, key: &'static str) -> Option<PathBuf> {
    section.opt_parsed(key, |text| match File::open(text) {
        Ok(_) => Ok(PathBuf::from(text)),
        Err(error) => Err(Wrong {
            message: format!("`{text}` cannot be read: {error}"),
            hint: Some("write the path of a file that this process may read".to_owned()),
        }),
    })
}

/// Whether the table has a key of [`tls`].
pub fn has_tls(section: &Section<'_>) -> bool {
    TLS_KEYS.iter().any(|key| section.has(key))
}

/// Reads `tls_ca`, `tls_cert`, `tls_key` and, where it can be obeyed, `tls_name`.
pub fn tls(section: &mut Section<'_>, with_name: bool) -> Tls {
    let ca = file(section, "tls_ca");
    let (cert, key) = (file(section, "tls_cert"), file(section, "tls_key"));
    let name = with_name.then(|| section.opt_string("tls_name")).flatten();
    for (key, other) in [("tls_cert", "tls_key"), ("tls_key", "tls_cert")] {
        if section.has(key) && !section.has(other) {
            section.complain(key, format!("`{key}` without `{other}`: it takes both"));
        }
    }
    let tls = Tls {
        ca,
        identity: cert.zip(key).map(|(cert, key)| Identity { cert, key }),
        name,
    };
    let broken = TLS_KEYS.iter().find(|key| !section.is_sound(key));
    if let (None, Err(error)) = (broken, tls.client_config()) {
        let key = ["tls_ca", "tls_cert"]
            .into_iter()
            .find(|key| section.has(key));
        section.complain(key.unwrap_or("tls_name"), error.to_string());
    }
    tls
}

/// Reads `user` and `password_file`; `urls` are the addresses, which may have them too.
pub fn login(section: &mut Section<'_>, urls: &[&str]) -> Login {
    let user = section.opt_string("user");
    let password = file(section, "password_file");
    let in_url: Vec<_> = urls.iter().map(|url| access::login_in(url)).collect();
    if user.is_some() && in_url.iter().any(|login| login.user.is_some()) {
        let wrong = "there is a user in the address too; keep it in one place";
        section.complain("user", wrong.to_owned());
    }
    let has_password = |login: &Login| login.password != Password::None;
    if section.has("password_file") && in_url.iter().any(has_password) {
        let wrong = "there is a password in the address too; keep it in one place";
        section.complain("password_file", wrong.to_owned());
    }
    if user.is_some() && !section.has("password_file") && !in_url.iter().any(has_password) {
        let wrong = "`user` without `password_file`: who proves to be that user?";
        section.complain("user", wrong.to_owned());
    }
    Login {
        user,
        password: password.map_or(Password::None, Password::File),
    }
}
