//! Databases, NATS and Redis that ask for TLS, a certificate, a password and no more rights
//! than the manual says.

mod mariadb;
mod postgres;
mod service;

use cache_core::config::reader;
use cache_core::testkit::certificates::{Certificates, Guard, NAME, Pair};
use invalidator::at::{At, Scheme};

/// How one connection is set up, and what it comes to.
struct Case {
    of: &'static str,
    host: &'static str,
    keys: String,
    /// What the error says; nothing if it connects.
    says: Option<&'static str>,
}

fn certificates() -> Certificates {
    Certificates::make().expect("a folder for certificates")
}

/// Reads the keys of an address as a file has them.
fn at(url: &str, keys: &str, scheme: &Scheme) -> At {
    let text = format!("[database]\nurl = '{url}'\n{keys}");
    let read = reader::read("x.toml", &text, |file| {
        file.section("database", |section| At::parse(section, scheme))
    });
    read.unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

fn shown(pair: &Pair) -> String {
    format!(
        "tls_cert = '{}'\ntls_key = '{}'\n",
        pair.cert.display(),
        pair.key.display()
    )
}

/// What each mode takes of a server that has a certificate for its address.
fn by_address(certificates: &Certificates) -> Vec<Case> {
    let ca = format!("tls_ca = '{}'\n", certificates.ca().display());
    let strangers = format!("tls_ca = '{}'\n", certificates.strangers_ca().display());
    let untrusted = Some("name its authority in `tls_ca`");
    let case = |of, host, mode: &str, more: &str, says| Case {
        of,
        host,
        keys: format!("tls = '{mode}'\n{more}"),
        says,
    };
    vec![
        case("whoever answers", "127.0.0.1", "require", "", None),
        case("an authority", "127.0.0.1", "verify-ca", &ca, None),
        case(
            "a stranger",
            "127.0.0.1",
            "verify-ca",
            &strangers,
            untrusted,
        ),
        case("an address", "127.0.0.1", "verify-full", &ca, None),
        case("a name", "localhost", "verify-full", &ca, None),
        case(
            "a stranger in full",
            "localhost",
            "verify-full",
            &strangers,
            untrusted,
        ),
        case(
            "browsers' authorities",
            "127.0.0.1",
            "verify-full",
            "",
            untrusted,
        ),
    ]
}

/// And of one that has a certificate for another name only.
fn by_name(certificates: &Certificates) -> Vec<Case> {
    let ca = format!("tls_ca = '{}'\n", certificates.ca().display());
    let case = |of, mode: &str, more: &str, says| Case {
        of,
        host: "localhost",
        keys: format!("tls = '{mode}'\n{ca}{more}"),
        says,
    };
    vec![
        case("any name", "verify-ca", "", None),
        case("whoever answers", "require", "", None),
        case("another name", "verify-full", "", Some("for another name")),
        case(
            "a name that is told",
            "verify-full",
            &format!("tls_name = '{NAME}'\n"),
            None,
        ),
    ]
}

/// And of one that asks for a certificate.
fn asked(certificates: &Certificates) -> Vec<Case> {
    let ca = format!(
        "tls = 'verify-full'\ntls_ca = '{}'\n",
        certificates.ca().display()
    );
    let case = |of, own: &str, says| Case {
        of,
        host: "127.0.0.1",
        keys: format!("{ca}{own}"),
        says,
    };
    vec![
        case("who shows it", &shown(&certificates.client()), None),
        case("who does not", "", Some("")),
        case("a stranger's", &shown(&certificates.stranger()), Some("")),
    ]
}

/// Tries every mode: at a server with the certificate of an address, with that of a name,
/// and that asks for one.
async fn every_mode<S>(started: impl AsyncFn(&Guard) -> S, tried: impl AsyncFn(&S, &[Case])) {
    let certificates = certificates();
    let mut cases = by_address(&certificates);
    cases.push(Case {
        of: "no TLS",
        host: "127.0.0.1",
        keys: "tls = 'off'\n".to_owned(),
        says: Some(""),
    });
    tried(&started(&certificates.guard()).await, &cases).await;

    let mut named = certificates.guard();
    named.own = certificates.named();
    tried(&started(&named).await, &by_name(&certificates)).await;

    let asking = started(&certificates.asking()).await;
    tried(&asking, &asked(&certificates)).await;
}

/// Holds what came of a case against what should.
fn judged(case: &Case, way: &str, came: Result<(), cache_core::Error>) {
    let what = format!("{} over {way}, with\n{}", case.of, case.keys);
    match (case.says, came) {
        (None, Ok(())) => {}
        (None, Err(error)) => panic!("{what}{error}"),
        (Some(_), Ok(())) => panic!("{what}it was let in"),
        (Some(says), Err(error)) => {
            let error = error.to_string();
            assert!(error.contains(says), "{what}{error}");
        }
    }
}
