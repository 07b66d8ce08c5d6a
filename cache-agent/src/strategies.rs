//! Which caches load and write by themselves, and the application that does it for them.
//!
//! ```toml
//! [loader]
//! address = "unix:/run/app/loader.sock"  # or "http://127.0.0.1:7400"
//! calls_max = 16              # loads at once, and writes at once
//! batch_max = 100             # keys in one call
//!
//! [[cache]]
//! name = "users"
//! read = "through"            # the agent loads; "aside": its caller does
//! write = "behind"            # or "through"; "aside": its caller writes the source
//! refresh_percent = 80        # loads anew what is asked for after so much of its life
//! stale_ttl = "1h"            # how long an expired value may do
//! write_timeout = "5s"        # how long one call that writes may take
//! ```

use cache_core::config::reader::Section;
use cache_core::policy::Refresh;
use cache_core::strategy::write_behind::BATCH_MAX;
use cache_core::{Name, Policy};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What stands behind the caches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strategies {
    /// The application that loads and writes.
    pub source: Option<SourceAt>,
    /// What each cache has it do; a cache that is not here, nothing.
    pub of: BTreeMap<Name, Strategy>,
}

/// Where the application listens, and how much it is asked at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceAt {
    /// `unix:///path` or `http://address:port`, on this machine.
    pub address: String,
    /// How many loads run at once, and how many writes: 16 by default. Keys that wait
    /// meanwhile to be loaded go in batches.
    pub calls_max: usize,
    /// How many keys one call has: 100 by default.
    pub batch_max: usize,
}

/// What one cache has the application do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strategy {
    /// Whether it loads what the cache misses.
    pub reads: bool,
    /// Whether it is written, and when.
    pub writes: WriteMode,
}

/// When the application is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteMode {
    /// Never: whoever sets a value has written the source.
    #[default]
    Aside,
    /// Before a Set is answered.
    Through,
    /// A little later, from a queue.
    Behind,
}

impl SourceAt {
    /// An application at an address, with the usual limits.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            calls_max: 16,
            batch_max: 100,
        }
    }
}

impl Strategies {
    /// What a cache has the application do.
    pub fn of(&self, cache: &Name) -> Strategy {
        self.of.get(cache).copied().unwrap_or_default()
    }
}

/// Reads `[loader]`, if it is there.
pub fn source(file: &mut Section<'_>) -> Option<SourceAt> {
    file.opt_section("loader", |section| {
        let usual = SourceAt::new("");
        let address = section.parsed("address", address);
        let calls = section.integer_or("calls_max", 1..=1_024u32, usual.calls_max as u32);
        let batch = section.integer_or("batch_max", 1..=BATCH_MAX as u32, usual.batch_max as u32);
        Some(SourceAt {
            address: address?,
            calls_max: calls as usize,
            batch_max: batch as usize,
        })
    })
}

/// Reads what one `[[cache]]` has the application do, into its policy too.
pub fn strategy(section: &mut Section<'_>, has_source: bool, policy: &mut Policy) -> Strategy {
    let reads = section.word_or("read", &[("aside", false), ("through", true)], false);
    let modes = [
        ("aside", WriteMode::Aside),
        ("through", WriteMode::Through),
        ("behind", WriteMode::Behind),
    ];
    let writes = section.word_or("write", &modes, WriteMode::Aside);
    for (key, asks) in [("read", reads), ("write", writes != WriteMode::Aside)] {
        if asks && !has_source {
            let wrong = "nobody does it: add a [loader] with the `address` of the application";
            section.complain(key, wrong.to_owned());
        }
    }
    let percent = section.integer_or("refresh_percent", 1..=100u8, 100);
    if section.has("refresh_percent") {
        if !reads {
            let wrong = "only a cache with `read = \"through\"` loads by itself";
            section.complain("refresh_percent", wrong.to_owned());
        }
        policy.refresh = Some(Refresh {
            share: f64::from(percent) / 100.0,
            ..Refresh::default()
        });
    }
    // Whoever loads by itself sees no failure of its source; where the caller loads, an
    // expired value is for those who ask for one.
    let stale = if reads { HOUR } else { Duration::ZERO };
    policy.lifetime.stale_ttl = section.duration_or("stale_ttl", Duration::ZERO..=30 * DAY, stale);
    let longest = Duration::from_secs(290);
    let least = Duration::from_millis(1);
    policy.write_timeout =
        section.duration_or("write_timeout", least..=longest, policy.write_timeout);
    Strategy { reads, writes }
}

/// The address of an application on this machine: nothing here proves who answers.
fn address(text: &str) -> Result<String, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return match path.starts_with('/') {
            true => Ok(format!("unix://{path}")),
            false => Err(format!(
                "`{text}` is not absolute; write unix:/run/app/loader.sock"
            )),
        };
    }
    let address = text.strip_prefix("http://").unwrap_or_default();
    match address.parse::<SocketAddr>() {
        Ok(at) if at.ip().is_loopback() => Ok(text.to_owned()),
        Ok(at) => Err(format!(
            "{at} is another machine, and nothing proves who answers there; \
             use 127.0.0.1, [::1] or a Unix socket"
        )),
        Err(_) => Err(format!(
            "`{text}` is no address; write unix:/run/app/loader.sock or http://127.0.0.1:7400"
        )),
    }
}
