//! `cache-agent dev`: the whole of it in one process, with nothing installed.

use crate::app::App;
use crate::caches::{Caches, Queues};
use crate::config::Limits;
use crate::demo::members::Embedded;
use crate::demo::traffic::{Stage, Traffic};
use crate::demo::{CACHE, ROWS};
use crate::observe::Watcher;
use crate::stats::Stats;
use cache_core::clock::Clock;
use cache_core::metrics::Metrics;
use cache_core::{Error, Kind, Policy};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;

/// L1 holds about half of the demo's rows, so that L2 has something to do.
const L1_BYTES: u64 = ROWS as u64 * 128;
/// Short enough for entries to expire while somebody watches.
const TTL: Duration = Duration::from_secs(60);

/// An agent on a domain in memory, with the demo's traffic if `demo` is set.
///
/// # Errors
/// None that a machine in order would show: the bus in memory is silent, or a
/// cache's policy contradicts itself.
pub async fn embedded(demo: bool, clock: Arc<dyn Clock>) -> Result<App, Error> {
    let domain = Embedded::new(clock.clone(), demo)?;
    let app = App::new(vec![policy()?], Limits::default(), clock.clone()).await;
    let member = domain.member(app.watcher.clone()).await?;
    app.open(&member, &Queues::new()).await?;
    if demo {
        let other = Arc::new(Watcher::new(Metrics::new(&mut Registry::default())));
        let other_caches = Arc::new(Caches::new([policy()?]));
        let second = domain.member(other.clone()).await?;
        other_caches.open(&second, &other.feed, &Queues::new())?;
        let agent = app.agent.caches.open_ones().next().cloned();
        let agent =
            agent.ok_or_else(|| Error::new(Kind::UnknownCache, "starting the demo", CACHE))?;
        let traffic = Traffic::start(Stage {
            agent,
            hot: app.agent.hot.clone(),
            domain: member,
            other,
            other_caches,
            invalidator: domain.invalidator().await?,
            clock,
        })?;
        app.show_demo(move || traffic.look());
    }
    Ok(app)
}

fn policy() -> Result<Policy, Error> {
    let mut policy = Policy::new(CACHE)?;
    policy.l1_bytes = L1_BYTES;
    policy.lifetime.ttl = TTL;
    policy.lifetime.l1_ttl = TTL;
    Ok(policy)
}

/// One line on what the demo has shown.
pub fn summary(stats: &Stats) -> String {
    let seconds = stats.uptime_ms as f64 / 1_000.0;
    let Some(demo) = &stats.demo else {
        return format!("ran {seconds:.1} s without a demo");
    };
    let members = [stats.agent.reads(), demo.other.reads()];
    let sum = |of: fn(&(u64, u64, u64)) -> u64| members.iter().map(of).sum::<u64>();
    let (all, l1, l2) = (sum(|m| m.0), sum(|m| m.1), sum(|m| m.2));
    let percent = |part: u64| 100.0 * part as f64 / all.max(1) as f64;
    let lag = stats.agent.lag;
    format!(
        "{all} reads in {seconds:.1} s, hit rate {:.1} % (L1 {:.1} %, L2 {:.1} %), \
         {} commits, {} stale reads of {} checked, {} failed, \
         lag commit to L1 p50 {} p99 {}",
        percent(l1 + l2),
        percent(l1),
        percent(l2),
        demo.commits,
        demo.stale,
        demo.checked,
        demo.failed,
        shown(lag.p50_ms),
        shown(lag.p99_ms),
    )
}

/// The clocks count whole milliseconds: a zero is not nothing.
fn shown(millis: u64) -> String {
    match millis {
        0 => "under 1 ms".to_owned(),
        _ => format!("{millis} ms"),
    }
}
