//! `cache-agent stat`.

use crate::cli::figures::{Rates, look, percent, short, uptime};
use crate::cli::reach::Admin;
use crate::cli::say::{self, Ended, Format, Trouble};
use crate::proto::v1::GetStatsResponse;
use cache_core::config::units::parse_duration;
use cache_core::ops::exit::Exit;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How many lines come before the heading is said again: what a terminal shows.
const HEADING_EVERY: u64 = 22;

/// The arguments of `stat`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The caches to sum up; all if none is named
    caches: Vec<String>,
    /// The time between two lines
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    interval: Duration,
    /// End after so many lines
    #[arg(long, value_name = "LINES")]
    count: Option<u64>,
    #[command(flatten)]
    admin: Admin,
}

const HELP: &str = "\
Example:
  cache-agent stat users --count 10

READS, LOADS, SAVED and INVAL are a second. HIT is the share of reads that were answered from
a tier, L1 the share that L1 answered, L2 what L2 answered of the rest, STALE what was
answered with an expired value. SAVED are reads that shared another's load. P50 and P99 are
how long changes took from their source to this agent.";

/// Prints a line for each interval, until it is interrupted.
pub async fn run(args: &Args, format: Format) -> Ended {
    if args.interval.is_zero() {
        return Err(Trouble::usage(
            "--interval 0ms would never end; 1s is usual",
        ));
    }
    let reached = args.admin.connect().await?;
    let mut tick = interval(args.interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.tick().await;
    let mut before = look(&reached, &args.caches).await?;
    for printed in 0..args.count.unwrap_or(u64::MAX) {
        tick.tick().await;
        let after = look(&reached, &args.caches).await?;
        if uptime(&after) < uptime(&before) {
            say::remark(&"the agent began anew");
        }
        let rates = Rates::of_all(&before, &after);
        let invalidations = invalidations(&before, &after);
        match format {
            Format::Json => say::object(&object(&rates, invalidations, &after))?,
            Format::Text => {
                if printed % HEADING_EVERY == 0 {
                    say::line(&heading())?;
                }
                say::line(&row(&rates, invalidations, &after))?;
            }
        }
        before = after;
    }
    Ok(Exit::Done)
}

fn heading() -> String {
    format!(
        "{:>8} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7} {:>7} {:>7} {:>7} {:>7} {:>6}  STATE",
        "READS",
        "HIT",
        "L1",
        "L2",
        "STALE",
        "ERR",
        "LOADS",
        "SAVED",
        "INVAL",
        "P50",
        "P99",
        "LEASES"
    )
}

fn row(rates: &Rates, invalidations: f64, stats: &GetStatsResponse) -> String {
    let (p50, p99) = lag(stats);
    format!(
        "{:>8} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7} {:>7} {:>7} {:>7} {:>7} {:>6}  {}",
        short(rates.reads),
        percent(rates.hit_rate()),
        percent(rates.l1_rate()),
        percent(rates.l2_rate()),
        percent(rates.stale_rate()),
        short(rates.errors),
        short(rates.loads),
        short(rates.coalesced),
        short(invalidations),
        millis(p50),
        millis(p99),
        stats.leases,
        state(stats),
    )
}

/// What is wrong, in the fewest words.
pub fn state(stats: &GetStatsResponse) -> String {
    let mut words = Vec::new();
    if !stats.not_ready.is_empty() {
        words.push(format!("not ready: {}", stats.not_ready));
    }
    if !stats.l1_trusted {
        words.push("L1 is not trusted".to_owned());
    }
    let open = stats.caches.iter().filter(|cache| cache.breaker_open);
    words.extend(open.map(|cache| format!("breaker of {} open", cache.cache)));
    match words.is_empty() {
        true => "ok".to_owned(),
        false => words.join("; "),
    }
}

/// The middle lag, and that of 99 %; `None` if none was measured.
pub fn lag(stats: &GetStatsResponse) -> (Option<Duration>, Option<Duration>) {
    let Some(lag) = stats.lag.as_ref().filter(|lag| lag.count > 0) else {
        return (None, None);
    };
    let span = |span: Option<prost_types::Duration>| Duration::try_from(span?).ok();
    (span(lag.p50), span(lag.p99))
}

/// Invalidations a second.
pub fn invalidations(before: &GetStatsResponse, after: &GetStatsResponse) -> f64 {
    let seconds = uptime(after).saturating_sub(uptime(before)).as_secs_f64();
    let more = after.invalidations.saturating_sub(before.invalidations);
    if seconds > 0.0 {
        more as f64 / seconds
    } else {
        0.0
    }
}

/// `12ms`, or a dash.
pub fn millis(span: Option<Duration>) -> String {
    match span {
        None => "-".to_owned(),
        Some(span) if span < Duration::from_millis(1) => "<1ms".to_owned(),
        Some(span) => format!("{}ms", span.as_millis()),
    }
}

fn object(rates: &Rates, invalidations: f64, stats: &GetStatsResponse) -> Value {
    let (p50, p99) = lag(stats);
    let seconds = |span: Option<Duration>| span.map(|span| span.as_secs_f64());
    json!({
        "uptime_seconds": uptime(stats).as_secs_f64(),
        "reads_per_second": rates.reads,
        "hit_rate": rates.hit_rate(),
        "l1_rate": rates.l1_rate(),
        "l2_rate": rates.l2_rate(),
        "stale_rate": rates.stale_rate(),
        "misses_per_second": rates.misses,
        "errors_per_second": rates.errors,
        "loads_per_second": rates.loads,
        "loads_failed_per_second": rates.loads_failed,
        "coalesced_per_second": rates.coalesced,
        "invalidations_per_second": invalidations,
        "lag_p50_seconds": seconds(p50),
        "lag_p99_seconds": seconds(p99),
        "leases": stats.leases,
        "gaps": stats.gaps,
        "state": state(stats),
    })
}
