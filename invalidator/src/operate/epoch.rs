//! Raises the epoch of a domain: every value from before is refused, everywhere.
//!
//! It is what an invalidator does by itself where its stream does not go on, and what a
//! person must ask for after the database was restored to an earlier point, which no
//! stream shows. It is done to L2 and told on the bus; instances that run follow within a
//! second, because another one than theirs is the newest.

use crate::recall::{self, Watermarks};
use cache_core::model::key::Bucket;
use cache_core::model::position::Position;
use cache_core::{Domain, Error, Kind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long all of L2 is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Raises it by one above what L2 knows and `least`; returns the new one. This process
/// carries no changes and does not say so: no L1 is trusted for it.
///
/// # Errors
/// [`Kind::Unavailable`] when a part of L2 stays away: some values are refused then, and
/// others are not. It may be asked for again.
pub async fn raise(domain: &Arc<Domain>, least: u32) -> Result<u32, Error> {
    let failed = |hint: &'static str| {
        let subject = domain.name().as_str();
        Error::new(Kind::Unavailable, "raising the epoch", subject).hint(hint)
    };
    let held = recall::watermarks(domain).await?;
    let highest = held.iter().filter_map(|(_, held)| *held);
    let highest = highest.map(|held| held.applied.max(held.seen).epoch).max();
    let epoch = highest.unwrap_or_default().max(least).checked_add(1);
    let epoch = epoch.ok_or_else(|| failed("there is no higher one"))?;
    let start = Position::new(epoch, 0, 0);
    // From here on every bucket is behind what this process knows, and is mended like one
    // that lost writes: its floor rises, and the bus says so.
    domain.horizon().raise_seen(start);
    let all = async {
        let mut left: Vec<Bucket> = Bucket::all().collect();
        while !left.is_empty() {
            for bucket in &left {
                domain.horizon().raise(*bucket, start);
                domain.report_behind(*bucket);
            }
            sleep(PAUSE).await;
            if let Ok(held) = recall::watermarks(domain).await {
                left = below(&held, start);
            }
        }
    };
    if timeout(PATIENCE, all).await.is_err() {
        return Err(failed("not all of L2 answers; ask again when it does"));
    }
    let told = async {
        domain.voice().heartbeat(false, start).await?;
        domain.voice().flush().await
    };
    told.await
        .map_err(|error| failed("L2 has it, and nobody was told; ask again").because(error))?;
    Ok(epoch)
}

fn below(held: &Watermarks, start: Position) -> Vec<Bucket> {
    let low = held
        .iter()
        .filter(|(_, held)| held.is_none_or(|held| held.floor < start));
    low.map(|(bucket, _)| *bucket).collect()
}
