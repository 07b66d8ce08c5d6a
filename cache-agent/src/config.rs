//! The configuration file of `cache-agent serve`, checked as a whole.
//!
//! ```toml
//! start = "refuse"            # or "degraded": serve misses until Redis and NATS answer
//! log = "info"                # unless --log or RUST_LOG says it
//!
//! [listen]
//! unix = "/run/cache-agent/agent.sock"
//! unix_mode = "0660"          # who may connect to it
//! tcp = "127.0.0.1:7390"      # loopback only, unless callers are asked who they are
//! tls_cert = "/etc/tls/agent.pem"    # of the port; read at each connection
//! tls_key = "/etc/tls/agent.key"
//! tls_client_ca = "/etc/tls/ca.pem"  # clients show a certificate that it signed
//! connections_max = 1024      # to the port, and to the socket; more are closed
//! resp = "127.0.0.1:6380"     # for clients of Redis; off by default, loopback only
//! requests_max = 1024         # calls at once; more are turned away
//! deadline = "1s"             # of calls that name none
//! streams_max = 256           # exchanges and watches at once
//! stream_calls_max = 256      # calls of one exchange at once
//! watch_heartbeat = "15s"     # the longest silence of a watch
//!
//! [admin]
//! address = "127.0.0.1:9464"  # /metrics /live /ready and the built-in page
//! scrape = "0.0.0.0:9463"     # /metrics /live /ready alone, for Prometheus elsewhere; off
//!
//! [drain]
//! delay = "5s"                # keep serving after SIGTERM
//! timeout = "25s"             # then finish what runs
//!
//! [l2]
//! urls = ["redis://127.0.0.1:6379"]
//!
//! [bus]
//! url = "nats://127.0.0.1:4222"
//!
//! [[cache]]
//! name = "users"
//!
//! # With any of these, every call must be one of them.
//! [[identity]]
//! name = "shop"
//! token_file = "/run/secrets/shop"   # a token on each line, all of them good; read anew
//! uid = 1000                         # or who runs as this user, on the Unix socket
//! caches = ["users"]                 # default: all
//! may = ["read", "fill"]             # default: all; and set, invalidate
//! ```
//!
//! `[loader]`, and what a cache has it do, is in [`crate::strategies`]. `[domain]`, `[l2]`,
//! `[bus]` and the rest of `[[cache]]` are read by
//! [`cache_core::config::domain`], the same for every service.

use crate::accept::{Accept, CONNECTIONS_MAX, ServerTls};
use crate::strategies::{self, Strategies, Strategy};
use cache_core::access::Identity as Certificate;
use cache_core::config::overrides::Override;
use cache_core::config::reader::{self, Section};
use cache_core::config::report::Report;
use cache_core::config::shown::Shown;
use cache_core::config::{access, domain};
use cache_core::ops::telemetry::{self, Filter};
use cache_core::{DomainSettings, Name, Policy};
use std::collections::{BTreeSet, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// All settings of one agent.
#[derive(Clone, Debug)]
pub struct Config {
    /// How Redis and NATS are reached.
    pub domain: DomainSettings,
    /// The caches; at least one.
    pub caches: Vec<Policy>,
    /// Which of them load and write by themselves.
    pub strategies: Strategies,
    /// Who may call; everybody if there is none.
    pub identities: Vec<Identity>,
    /// Where the API listens.
    pub listen: Listen,
    /// Where the admin listener is: port 9464 on loopback by default.
    pub admin: SocketAddr,
    /// Where only `/metrics`, `/live` and `/ready` are, for who is on another machine; nowhere
    /// by default.
    pub scrape: Option<SocketAddr>,
    /// How it ends.
    pub drain: Drain,
    /// What happens when Redis or NATS cannot be reached at the start.
    pub start: Start,
    /// What is logged, where nobody says it on the command line: `info` by default.
    pub log: Filter,
}

/// Where the API listens, and within what limits.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The Unix socket, if there is one.
    pub unix: Option<PathBuf>,
    /// Its mode: the owner and the group by default.
    pub unix_mode: u32,
    /// The address, if there is one: on loopback unless callers are asked who they are.
    pub tcp: Option<SocketAddr>,
    /// The loopback address for clients of Redis, if there is one. None by default: a plain
    /// `SET` knows nothing of leases, and whoever opens this door should.
    pub resp: Option<SocketAddr>,
    /// Which connections to it are taken.
    pub accept: Accept,
    /// The limits.
    pub limits: Limits,
}

/// Somebody who may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// How logs and errors call it.
    pub name: String,
    /// The file with its tokens.
    pub token: Option<PathBuf>,
    /// The user that it runs as, on the Unix socket.
    pub uid: Option<u32>,
    /// The caches that it may use; all if there are none.
    pub caches: Option<BTreeSet<String>>,
    /// What it may do.
    pub may: Vec<Operation>,
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Ask for values, and for leases with them.
    Read,
    /// Store under a lease, or give it back.
    Fill,
    /// Store without a lease.
    Set,
    /// Invalidate.
    Invalidate,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Fill, Self::Set, Self::Invalidate];

    /// What it takes to call a method; nothing for one without a permission of its own.
    pub fn of(method: &str) -> Option<Self> {
        match method {
            "Get" | "BatchGet" | "StreamBatchGet" | "Watch" => Some(Self::Read),
            "Fill" | "ReleaseLease" => Some(Self::Fill),
            // Where the application writes, a Delete deletes at the source.
            "Set" | "BatchSet" | "Touch" | "Delete" => Some(Self::Set),
            "Invalidate" => Some(Self::Invalidate),
            _ => None,
        }
    }
}

/// The limits of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many calls run at once: 1024 by default. With messages of at most
    /// 16 MiB this bounds the memory; real callers of one machine stay far below.
    pub requests_max: usize,
    /// The deadline of a call that names none: 1 s by default, as long as a reader
    /// waits for another's load.
    pub deadline: Duration,
    /// How many streams are open at once, exchanges and watches: 256 by default. Each
    /// is one client, not one call.
    pub streams_max: usize,
    /// How many calls of one stream run at once: 256 by default. Its next ones wait
    /// where they are, with the caller.
    pub stream_calls_max: usize,
    /// How often a watch that is told nothing is given a sign of life: 15 s by default.
    pub watch_heartbeat: Duration,
    /// How many connections the RESP door takes: 10,000 by default, as Redis does. An idle one
    /// costs a few kilobytes.
    pub resp_connections_max: usize,
}

/// How an agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long it keeps serving after it was asked to end: 5 s by default, time
    /// for an application that ends together with it to finish its own requests.
    pub delay: Duration,
    /// How long calls may then take to end: 25 s by default; together with the
    /// delay this stays within the 30 s that Kubernetes grants.
    pub timeout: Duration,
}

/// What happens when Redis or NATS cannot be reached at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The agent ends with exit code 4. The default: a wrong address is noticed.
    Refuse,
    /// The agent answers misses without leases and keeps trying. Until then `/ready`
    /// and the gRPC health service say that it is not ready, and nothing can be
    /// stored or invalidated through it.
    Degraded,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_max: 1024,
            deadline: SECOND,
            streams_max: 256,
            stream_calls_max: 256,
            watch_heartbeat: 15 * SECOND,
            resp_connections_max: 10_000,
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            delay: 5 * SECOND,
            timeout: 25 * SECOND,
        }
    }
}

/// Reads a configuration; `file` is its name for people.
///
/// # Errors
/// Everything that is wrong with it at once.
pub fn read(file: &str, text: &str) -> Result<Config, Report> {
    show(file, text, &[]).map(|(config, _)| config)
}

/// The same, with values from outside in place of the file's, and every key as it is in
/// effect.
///
/// # Errors
/// As [`read`].
pub fn show(file: &str, text: &str, given: &[Override]) -> Result<(Config, Shown), Report> {
    reader::show(file, text, given, config)
}

fn config(file: &mut Section<'_>) -> Option<Config> {
    let words = [("refuse", Start::Refuse), ("degraded", Start::Degraded)];
    let start = file.word_or("start", &words, Start::Refuse);
    let log = file.parsed_or("log", telemetry::USUAL, Filter::parse);
    let domain = domain::settings(file);
    let identities = identities(file);
    let asked = identities.iter().any(|identity| identity.token.is_some());
    let listen = file.section("listen", |section| listen(section, asked));
    let admin = file.section("admin", |section| {
        let scrape = section.opt_parsed("scrape", address);
        let admin = section.parsed_or("address", "127.0.0.1:9464", loopback)?;
        Some((admin, scrape))
    });
    let (admin, scrape) = admin.unzip();
    let drain = file.section("drain", |section| {
        let usual = Drain::default();
        Some(Drain {
            delay: section.duration_or("delay", Duration::ZERO..=600 * SECOND, usual.delay),
            timeout: section.duration_or("timeout", MILLI..=600 * SECOND, usual.timeout),
        })
    });
    let source = strategies::source(file);
    let caches = caches(file, file.has("loader"));
    let (caches, of) = caches.map(|all| all.into_iter().unzip()).unzip();
    let strategies = of.map(|of: Vec<_>| Strategies {
        source,
        of: of.into_iter().collect(),
    });
    Some(Config {
        strategies: strategies?,
        domain: domain?,
        caches: caches?,
        listen: listen?,
        identities,
        admin: admin?,
        scrape: scrape?,
        drain: drain?,
        start,
        log: log?,
    })
}

fn listen(section: &mut Section<'_>, asked: bool) -> Option<Listen> {
    let usual = Limits::default();
    let unix = section.opt_parsed("unix", |text| {
        let path = PathBuf::from(text);
        path.is_absolute()
            .then_some(path)
            .ok_or_else(|| format!("`{text}` is not absolute"))
    });
    let unix_mode = section.parsed_or("unix_mode", "0660", mode);
    let tcp = match asked || section.has("tls_client_ca") {
        true => section.opt_parsed("tcp", address),
        false => section.opt_parsed("tcp", loopback),
    };
    let resp = section.opt_parsed("resp", loopback);
    let named = section.has("unix") || section.has("tcp");
    let limits = Limits {
        requests_max: section.integer_or("requests_max", 1..=100_000u32, 1024) as usize,
        deadline: section.duration_or("deadline", 10 * MILLI..=60 * SECOND, usual.deadline),
        streams_max: section.integer_or("streams_max", 1..=100_000u32, 256) as usize,
        stream_calls_max: section.integer_or("stream_calls_max", 1..=10_000u32, 256) as usize,
        watch_heartbeat: section.duration_or(
            "watch_heartbeat",
            100 * MILLI..=600 * SECOND,
            usual.watch_heartbeat,
        ),
        resp_connections_max: section.integer_or("resp_connections_max", 1..=100_000u32, 10_000)
            as usize,
    };
    let accept = accept(section);
    if !named {
        let wrong =
            "nothing to listen on: set `unix` to a path, `tcp` to a loopback address, or both";
        section.complain("unix", wrong.to_owned());
        return None;
    }
    Some(Listen {
        unix,
        unix_mode: unix_mode?,
        tcp,
        resp,
        accept,
        limits,
    })
}

/// Reads which connections to the port are taken.
fn accept(section: &mut Section<'_>) -> Accept {
    let usual = Accept::default();
    let cert = access::file(section, "tls_cert");
    let key = access::file(section, "tls_key");
    let client_ca = access::file(section, "tls_client_ca");
    let most = section.integer_or("connections_max", 1..=100_000u32, CONNECTIONS_MAX as u32);
    let whole = section.has("tls_cert") && section.has("tls_key");
    for key in ["tls_cert", "tls_key", "tls_client_ca"] {
        if section.has(key) && !whole {
            let wrong = format!("`{key}` takes both `tls_cert` and `tls_key`");
            section.complain(key, wrong);
        }
    }
    let own = cert.zip(key).map(|(cert, key)| Certificate { cert, key });
    let tls = own.map(|own| ServerTls::new(own, client_ca)).transpose();
    let tls = tls.unwrap_or_else(|problem| {
        section.complain("tls_cert", problem);
        None
    });
    Accept {
        tls,
        connections_max: most as usize,
        ..usual
    }
}

/// Reads the mode of the socket: nobody needs to run it, and whoever connects writes.
fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| mode & !0o666 == 0);
    mode.ok_or_else(|| format!("`{text}` is no mode of a socket; write one like 0660"))
}

/// Reads who may call.
fn identities(file: &mut Section<'_>) -> Vec<Identity> {
    let words = [
        ("read", Operation::Read),
        ("fill", Operation::Fill),
        ("set", Operation::Set),
        ("invalidate", Operation::Invalidate),
    ];
    let mut names = HashSet::new();
    file.sections("identity", |section| {
        let name = section.parsed("name", |text| Name::new(text).map_err(|e| e.to_string()));
        let token = access::file(section, "token_file");
        let uid = section.integer_or("uid", 0..=u32::MAX, 0);
        let uid = section.has("uid").then_some(uid);
        let caches = section.list("caches", |text| Name::new(text).map_err(|e| e.to_string()));
        let caches: Option<BTreeSet<_>> =
            caches.map(|all| all.iter().map(|name| name.as_str().to_owned()).collect());
        let may = section.words("may", &words);
        let name = name?.as_str().to_owned();
        if !section.has("token_file") && uid.is_none() {
            let wrong = "neither `token_file` nor `uid`: how would it be known?";
            section.complain("name", wrong.to_owned());
        }
        if caches.as_ref().is_some_and(BTreeSet::is_empty) {
            let wrong = "no cache at all; leave `caches` out for all of them";
            section.complain("caches", wrong.to_owned());
        }
        if !names.insert(name.clone()) {
            section.complain("name", format!("the identity `{name}` is here twice"));
        }
        Some(Identity {
            name,
            token,
            uid,
            caches,
            may: may.unwrap_or_else(|| Operation::ALL.to_vec()),
        })
    })
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse();
    address.map_err(|_| format!("`{text}` is no address and port; write one like 127.0.0.1:7390"))
}

/// An address on this machine, because whoever reaches it reads and fills every cache.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = address(text)?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(format!(
        "{address} can be reached from other machines, and nothing here asks who is calling; \
         use 127.0.0.1, [::1] or a Unix socket, or name callers with tokens in [[identity]], \
         or ask for certificates with `tls_client_ca`"
    ))
}

fn caches(file: &mut Section<'_>, has_source: bool) -> Option<Vec<(Policy, (Name, Strategy))>> {
    let mut names = HashSet::new();
    let policies = file.sections("cache", |section| {
        let Some(mut policy) = domain::policy(section) else {
            // The other keys of the table are looked at all the same: none of them is unknown
            // because the policy is wrong.
            strategies::strategy(section, has_source, &mut Policy::new("any").ok()?);
            return None;
        };
        let strategy = strategies::strategy(section, has_source, &mut policy);
        if !names.insert(policy.name.clone()) {
            section.complain("name", format!("the cache `{}` is here twice", policy.name));
            return None;
        }
        let name = policy.name.clone();
        Some((policy, (name, strategy)))
    });
    if !file.has("cache") {
        file.complain(
            "cache",
            "no cache is configured; add a [[cache]] with a `name`".to_owned(),
        );
        return None;
    }
    Some(policies)
}
