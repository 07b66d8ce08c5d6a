//! Advice is logged when a cache is opened, each once, and none for the defaults.

use cache_core::Cache;
use cache_core::Role;
use cache_core::testkit::fleet::Fleet;
use cache_core::testkit::logs::Logs;
use std::time::Duration;

#[tokio::test]
async fn advice_is_logged_when_a_cache_is_opened() {
    let logs = Logs::listen();
    let domain = Fleet::in_memory().join(Role::Member).await;
    let domain = domain.expect("the bus is there");
    let advice = || {
        let mut warnings = logs.warnings();
        warnings.retain(|line| line.contains("advice="));
        warnings
    };
    let _usual: Cache<u64> = Cache::builder("usual").open(&domain).expect("a policy");
    assert_eq!(advice(), [""; 0]);
    let odd = Cache::<u64>::builder("odd")
        .jitter(0.0)
        .breaker_pause(Duration::ZERO);
    let _odd = odd.open(&domain).expect("it is allowed");
    let advice = advice();
    assert_eq!(advice.len(), 2, "{advice:?}");
    for (line, name) in advice.iter().zip(["no_jitter", "breaker_without_pause"]) {
        assert!(line.contains("odd") && line.contains(name), "{line}");
    }
}
