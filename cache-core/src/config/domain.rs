//! The parts of a configuration file that both services share: `[domain]`, `[l2]`,
//! `[bus]` and `[[cache]]`. What lets a connection in: [`crate::config::access`] and
//! [`crate::config::nats`]; to sentinels in `[l2.sentinel]`, where it is another `user` and
//! `password_file`, or none, than to the nodes.

use crate::access::{Login, Tls};
use crate::coherence::listen::{Proof, Timing};
use crate::config::access::{has_tls, login, tls};
use crate::config::nats;
use crate::config::reader::Section;
use crate::connect::{BusAt, DomainSettings, RemoteAt};
use crate::model::key::Name;
use crate::model::lifetime::Lifetime;
use crate::policy::{Policy, RAMP_MAX, UnleasedSet, VALUE_BYTES_MAX};
use crate::tier::redis::{Deployment, RedisAccess};
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Reads `[domain]`, `[l2]` and `[bus]`.
pub fn settings(file: &mut Section<'_>) -> Option<DomainSettings> {
    let domain = file.section("domain", |section| {
        let usual = DomainSettings::embedded().name;
        let name = section.parsed_or("name", usual.as_str(), |text| {
            Name::new(text).map_err(|e| e.to_string())
        });
        let proofs = [("invalidator", Proof::Invalidator), ("echo", Proof::Echo)];
        let proof = section.word_or("trust_by", &proofs, Proof::Invalidator);
        let usual = Timing::default();
        let heartbeat = section.duration_or("heartbeat", 50 * MILLI..=10 * SECOND, usual.heartbeat);
        let trust = section.duration_or("trust_for", 150 * MILLI..=60 * SECOND, usual.trust);
        if trust < heartbeat * 3 {
            section.complain(
                "trust_for",
                "it is shorter than three heartbeats, so one lost message would switch L1 off"
                    .to_owned(),
            );
        }
        Some((name?, proof, Timing { heartbeat, trust }))
    });
    let remote = file.section("l2", remote);
    let bus = file.section("bus", bus);
    let (name, proof, timing) = domain?;
    Some(DomainSettings {
        name,
        remote: remote?,
        bus: bus?,
        proof,
        timing,
    })
}

fn remote(section: &mut Section<'_>) -> Option<RemoteAt> {
    #[derive(Clone, Copy, PartialEq)]
    enum Is {
        Memory,
        Single,
        Cluster,
        Sentinel,
    }
    let words = [
        ("memory", Is::Memory),
        ("single", Is::Single),
        ("cluster", Is::Cluster),
        ("sentinel", Is::Sentinel),
    ];
    let timeout = section.duration_or("timeout", 10 * MILLI..=10 * SECOND, 200 * MILLI);
    let urls = section.list("urls", |text| {
        let known = ["redis://", "rediss://", "redis+unix://"];
        let fits = known.iter().any(|scheme| text.starts_with(scheme));
        fits.then(|| text.to_owned())
            .ok_or_else(|| "an address looks like redis://host:6379".to_owned())
    });
    let service = section.opt_string("service");
    let access = redis_access(section, urls.as_deref().unwrap_or_default());
    let kind = section.word_or("kind", &words, Is::Cluster);
    if kind == Is::Memory {
        return Some(RemoteAt::Memory);
    }
    let urls = urls.unwrap_or_default();
    let Some(first) = urls.first().cloned() else {
        section.complain(
            "urls",
            "`urls` is missing: the addresses of Redis".to_owned(),
        );
        return None;
    };
    let deployment = match kind {
        Is::Memory => return None,
        Is::Single => Deployment::Single { url: first },
        Is::Cluster => Deployment::Cluster { urls },
        Is::Sentinel => {
            let Some(service) = service else {
                let wrong = "`service` is missing: the name of the master that sentinels know";
                section.complain("service", wrong.to_owned());
                return None;
            };
            Deployment::Sentinel { urls, service }
        }
    };
    if kind != Is::Sentinel && section.has("sentinel") {
        let wrong = "`[l2.sentinel]` without `kind = \"sentinel\"`: who would be asked?";
        section.complain("sentinel", wrong.to_owned());
    }
    Some(RemoteAt::Redis {
        deployment,
        access: Box::new(access),
        timeout,
    })
}

/// Reads what lets this process in to Redis.
fn redis_access(section: &mut Section<'_>, urls: &[String]) -> RedisAccess {
    let given: Vec<&str> = urls.iter().map(String::as_str).collect();
    let encrypted = given
        .iter()
        .filter(|url| url.starts_with("rediss://"))
        .count();
    if encrypted != 0 && encrypted != given.len() {
        let wrong = "some begin with rediss:// and some do not; a deployment is encrypted or not";
        section.complain("urls", wrong.to_owned());
    }
    if encrypted == 0 && has_tls(section) && !given.is_empty() {
        let wrong = "these speak no TLS, and there are `tls_…` keys; write rediss://host:port";
        section.complain("urls", wrong.to_owned());
    }
    let nodes: Login = login(section, &given);
    let tls: Tls = tls(section, true);
    // What the addresses say is for the nodes then.
    let sentinels = section.opt_section("sentinel", |sentinel| Some(login(sentinel, &[])));
    RedisAccess {
        login: nodes,
        sentinels,
        tls: (encrypted != 0).then_some(tls),
    }
}

fn bus(section: &mut Section<'_>) -> Option<BusAt> {
    let memory = section.word_or("kind", &[("nats", false), ("memory", true)], false);
    let at = match memory {
        true => nats::at(section),
        false => nats::required(section),
    };
    let prefix = section.parsed_or("prefix", "cacheaside", |text| {
        Name::new(text)
            .map(|name| name.as_str().to_owned())
            .map_err(|e| e.to_string())
    });
    if memory {
        return Some(BusAt::Memory);
    }
    Some(BusAt::Nats {
        at: at?,
        prefix: prefix?,
    })
}

/// Reads one `[[cache]]`.
pub fn policy(section: &mut Section<'_>) -> Option<Policy> {
    let name = section.parsed("name", |text| {
        Name::new(text)
            .map(|name| name.as_str().to_owned())
            .map_err(|e| e.to_string())
    });
    let usual = Policy::new("defaults").ok()?;
    let life = usual.lifetime;
    let ttl = section.duration_or("ttl", MILLI..=30 * DAY, life.ttl);
    let lifetime = Lifetime {
        ttl,
        negative_ttl: section.duration_or(
            "negative_ttl",
            Duration::ZERO..=30 * DAY,
            life.negative_ttl,
        ),
        // Who reads this file has no loaders, which might fail.
        stale_ttl: Duration::ZERO,
        l1_ttl: section.duration_or("l1_ttl", MILLI..=30 * DAY, ttl),
        jitter: f64::from(section.integer_or("jitter_percent", 0..=100u8, 10)) / 100.0,
    };
    let most = VALUE_BYTES_MAX as u64;
    let value_bytes_max =
        section.bytes_or("value_bytes_max", 1..=most, usual.value_bytes_max as u64) as usize;
    let sets = [
        ("invalidates", UnleasedSet::Invalidates),
        ("stores", UnleasedSet::Stores),
    ];
    let policy = Policy {
        name: Name::new(name?).ok()?,
        lifetime,
        l1_bytes: section.bytes_or("l1_bytes", 0..=1 << 40, usual.l1_bytes),
        l1_idle: usual.l1_idle,
        value_bytes_max,
        soft_timeout: usual.soft_timeout,
        load_backoff: usual.load_backoff,
        load_timeout: section.duration_or("load_timeout", MILLI..=DAY, usual.load_timeout),
        loads_max: section.integer_or("loads_max", 1..=100_000u32, 64) as usize,
        loads_ramp: section.duration_or("loads_ramp", Duration::ZERO..=RAMP_MAX, usual.loads_ramp),
        load_queue: section.duration_or(
            "load_queue",
            Duration::ZERO..=60 * SECOND,
            usual.load_queue,
        ),
        lease: section.duration_or("lease", 10 * MILLI..=540 * SECOND, usual.lease),
        wait: section.duration_or("wait", Duration::ZERO..=60 * SECOND, usual.wait),
        unleased_set: section.word_or("unleased_set", &sets, UnleasedSet::Invalidates),
        // Who reads this file has no writers, and no loaders of its own.
        loads_go_on: usual.loads_go_on,
        breaker_keys: usual.breaker_keys,
        breaker_pause: usual.breaker_pause,
        refresh: None,
        write_timeout: usual.write_timeout,
        shadow_per_million: usual.shadow_per_million,
    };
    match policy.check() {
        Ok(()) => Some(policy),
        Err(error) => {
            section.complain("name", error.to_string());
            None
        }
    }
}
