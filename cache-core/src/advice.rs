//! Advice on settings that are allowed, and surely not what was meant.

use crate::policy::Policy;
use std::fmt;
use std::time::Duration;

/// More loads at once than any one database answers.
const LOADS_MANY: usize = 1_000;
/// More comparisons in a million hits than tell anything new: one in a hundred.
const SHADOW_MANY: u32 = 10_000;

/// One piece of advice: logged as a warning when a cache is opened, or a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Its name in the manual.
    pub name: &'static str,
    /// What is set.
    pub what: String,
    /// What comes of it.
    pub why: &'static str,
    /// What to do.
    pub cure: &'static str,
}

/// What stands in a policy and is surely not meant; nothing for the default.
///
/// A policy that contradicts itself is no case for advice: [`Policy::check`] refuses it.
pub fn of(policy: &Policy) -> Vec<Advice> {
    let all = of_lifetimes(policy).into_iter().chain(of_loads(policy));
    all.flatten().collect()
}

pub(crate) fn advise(
    is_due: bool,
    name: &'static str,
    what: String,
    why: &'static str,
    cure: &'static str,
) -> Option<Advice> {
    is_due.then_some(Advice {
        name,
        what,
        why,
        cure,
    })
}

fn of_lifetimes(policy: &Policy) -> [Option<Advice>; 4] {
    let lifetime = &policy.lifetime;
    let (ttl, negative, l1) = (lifetime.ttl, lifetime.negative_ttl, lifetime.l1_ttl);
    // Who sets `ttl` alone leaves this one as it was.
    let l1_is_set = l1 != Policy::unnamed().lifetime.l1_ttl;
    [
        advise(
            lifetime.jitter == 0.0,
            "no_jitter",
            "jitter = 0".to_owned(),
            "what is stored together expires together, and is loaded together",
            "leave `jitter` at 0.1",
        ),
        advise(
            negative > ttl,
            "absences_outlive_values",
            format!("negative_ttl = {negative:?}, ttl = {ttl:?}"),
            "a row that is inserted without an event is missed for longer than a changed one",
            "set `negative_ttl` to at most `ttl`",
        ),
        advise(
            l1_is_set && l1 > ttl.max(negative),
            "l1_ttl_without_effect",
            format!("l1_ttl = {l1:?}, ttl = {ttl:?}"),
            "a copy in L1 ends with its entry",
            "leave `l1_ttl` out, or set it below `ttl`",
        ),
        advise(
            policy.l1_bytes < policy.value_bytes_max as u64,
            "values_larger_than_l1",
            format!(
                "l1_bytes = {}, value_bytes_max = {}",
                policy.l1_bytes, policy.value_bytes_max
            ),
            "the largest values are never kept in L1, and are read from L2 each time",
            "raise `l1_bytes` to many times `value_bytes_max`",
        ),
    ]
}

fn of_loads(policy: &Policy) -> [Option<Advice>; 7] {
    let (soft, load) = (policy.soft_timeout, policy.load_timeout);
    let (lease, wait, queue) = (policy.lease, policy.wait, policy.load_queue);
    let serves_stale = policy.lifetime.stale_ttl > Duration::ZERO;
    let refresh = policy.refresh.unwrap_or_default();
    let is_late = refresh.share >= 1.0 && refresh.beta == 0.0;
    [
        advise(
            serves_stale && soft >= load,
            "soft_timeout_without_effect",
            format!("soft_timeout = {soft:?}, load_timeout = {load:?}"),
            "a reader with an expired value at hand waits until the load is given up",
            "set `soft_timeout` far below `load_timeout`",
        ),
        advise(
            lease <= load.saturating_add(queue),
            "lease_too_short",
            format!("lease = {lease:?}, load_timeout = {load:?}, load_queue = {queue:?}"),
            "a load that queued may outlive its lease, and is not stored",
            "set `lease` above `load_timeout` and `load_queue` together",
        ),
        advise(
            wait > lease,
            "wait_without_effect",
            format!("wait = {wait:?}, lease = {lease:?}"),
            "nobody waits for longer than a lease lasts: it is then another's",
            "set `wait` below `lease`",
        ),
        advise(
            policy.breaker_keys > 0 && policy.breaker_pause.is_zero(),
            "breaker_without_pause",
            format!("breaker_keys = {}, breaker_pause = 0", policy.breaker_keys),
            "the source is asked again at once, so it is not left alone",
            "set `breaker_pause` to a second, or `breaker_keys` to 0 for no breaker",
        ),
        advise(
            policy.refresh.is_some() && is_late,
            "refresh_never",
            "refresh.share = 1, refresh.beta = 0".to_owned(),
            "nothing is loaded anew before it expires",
            "set `share` to 0.8, or leave `refresh` out",
        ),
        advise(
            policy.loads_max > LOADS_MANY,
            "too_many_loads",
            format!("loads_max = {}", policy.loads_max),
            "a cleared cache asks the source for so many at once",
            "set `loads_max` to what the connection pool of the source holds",
        ),
        advise(
            policy.shadow_per_million > SHADOW_MANY,
            "costly_shadow",
            format!("shadow_per_million = {}", policy.shadow_per_million),
            "each comparison is a load: the source is asked for more than one hit in a hundred",
            "set `shadow_per_million` to 1000",
        ),
    ]
}

impl Advice {
    /// Logs it; `about` is the cache or the domain.
    pub(crate) fn log(&self, about: &str) {
        tracing::warn!(about, advice = self.name, "{self}");
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.what, self.why, self.cure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{BusAt, DomainSettings, RemoteAt};
    use crate::policy::Refresh;
    use crate::tier::redis::Deployment;

    const SECOND: Duration = Duration::from_secs(1);

    /// The names of the advice on a policy that is the default but for one change.
    fn names(change: impl FnOnce(&mut Policy)) -> Vec<&'static str> {
        let mut policy = Policy::new("users").unwrap();
        change(&mut policy);
        assert!(policy.check().is_ok());
        of(&policy).iter().map(|advice| advice.name).collect()
    }

    #[test]
    fn the_default_policy_needs_no_advice() {
        assert_eq!(names(|_| {}), [""; 0]);
        assert_eq!(
            names(|policy| policy.refresh = Some(Refresh::default())),
            [""; 0]
        );
        assert!(DomainSettings::embedded().advice().is_empty());
    }

    #[test]
    fn what_is_usual_needs_no_advice() {
        assert_eq!(names(|policy| policy.lifetime.ttl = 31 * SECOND), [""; 0]);
        assert_eq!(
            names(|policy| policy.lifetime.stale_ttl = Duration::ZERO),
            [""; 0]
        );
        assert_eq!(names(|policy| policy.breaker_keys = 0), [""; 0]);
        assert_eq!(names(|policy| policy.shadow_per_million = 1_000), [""; 0]);
        assert_eq!(names(|policy| policy.loads_ramp = Duration::ZERO), [""; 0]);
    }

    #[test]
    fn lifetimes_that_are_not_meant_are_named() {
        assert_eq!(names(|policy| policy.lifetime.jitter = 0.0), ["no_jitter"]);
        assert_eq!(
            names(|policy| policy.lifetime.negative_ttl = 301 * SECOND),
            ["absences_outlive_values"]
        );
        assert_eq!(
            names(|policy| policy.lifetime.l1_ttl = 301 * SECOND),
            ["l1_ttl_without_effect"]
        );
        assert_eq!(
            names(|policy| policy.l1_bytes = 1_000),
            ["values_larger_than_l1"]
        );
    }

    #[test]
    fn loads_that_are_not_meant_are_named() {
        assert_eq!(
            names(|policy| policy.soft_timeout = 5 * SECOND),
            ["soft_timeout_without_effect"]
        );
        assert_eq!(
            names(|policy| policy.lease = 6 * SECOND),
            ["lease_too_short"]
        );
        assert_eq!(
            names(|policy| policy.wait = 11 * SECOND),
            ["wait_without_effect"]
        );
        assert_eq!(
            names(|policy| policy.breaker_pause = Duration::ZERO),
            ["breaker_without_pause"]
        );
        let late = Refresh {
            share: 1.0,
            beta: 0.0,
            ..Refresh::default()
        };
        assert_eq!(
            names(|policy| policy.refresh = Some(late)),
            ["refresh_never"]
        );
        assert_eq!(names(|policy| policy.loads_max = 1_001), ["too_many_loads"]);
        assert_eq!(
            names(|policy| policy.shadow_per_million = 10_001),
            ["costly_shadow"]
        );
    }

    #[test]
    fn a_soft_timeout_that_nothing_uses_is_left_alone() {
        let unused = names(|policy| {
            policy.soft_timeout = 5 * SECOND;
            policy.lifetime.stale_ttl = Duration::ZERO;
        });
        assert_eq!(unused, [""; 0]);
    }

    #[test]
    fn domains_that_are_not_meant_are_named() {
        let names = |change: fn(&mut DomainSettings)| {
            let mut settings = DomainSettings::embedded();
            change(&mut settings);
            let advice = settings.advice();
            advice.iter().map(|advice| advice.name).collect::<Vec<_>>()
        };
        let redis = |settings: &mut DomainSettings| {
            settings.remote = RemoteAt::Redis {
                deployment: Deployment::Single {
                    url: "redis://127.0.0.1".to_owned(),
                },
                access: Box::default(),
                timeout: SECOND,
            };
        };
        let nats = |settings: &mut DomainSettings| {
            settings.bus = BusAt::Nats {
                at: "nats://127.0.0.1".into(),
                prefix: "cache".to_owned(),
            };
        };
        assert_eq!(names(redis), ["bus_not_shared"]);
        assert_eq!(names(nats), ["l2_not_shared"]);
        assert_eq!(
            names(|settings| settings.timing.trust = SECOND),
            ["trust_too_short"]
        );
    }

    #[test]
    fn all_advice_is_in_the_manual() {
        let manual = include_str!("../docs/advice.md");
        let mut policy = Policy::new("users").unwrap();
        policy.lifetime.jitter = 0.0;
        let one = &of(&policy)[0];
        assert!(one.to_string().contains("leave `jitter` at 0.1"), "{one}");
        let source = include_str!("advice.rs")
            .lines()
            .chain(include_str!("connect.rs").lines());
        let names: Vec<_> = source
            .map(str::trim)
            .filter_map(|line| line.strip_prefix('"')?.strip_suffix("\","))
            .filter(|name| name.contains('_') && !name.contains(' '))
            .collect();
        assert!(names.len() >= 14, "{names:?}");
        for name in names {
            assert!(manual.contains(&format!("| `{name}` |")), "{name}");
        }
    }
}
