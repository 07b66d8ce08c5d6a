//! Refresh-ahead: loaded anew before it expires. `cargo run --example refresh_ahead`

use cache_core::event::Silent;
use cache_core::policy::Refresh;
use cache_core::source::{Cause, Wanted};
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, DomainSettings, Error, Policy, Role, connect};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let settings = DomainSettings::embedded();
    let domain = connect::open(&settings, Role::Member, Arc::new(Silent)).await?;
    let mut policy = Policy::new("rates")?;
    policy.lifetime.ttl = Duration::from_millis(500);
    policy.refresh = Some(Refresh::default());
    let cache = Cache::open(&domain, policy, Bincode::default())?;

    let loads = AtomicU64::new(0);
    let rates = cache.read_through(move |_: Wanted<_>| {
        let load = loads.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            // A source that takes its time, and whose changes nobody tells of.
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok::<_, Cause>(Some(load))
        }
    });

    let (mut waited, mut last) = (0, 0);
    for _ in 0..200 {
        let rate = rates.get("EUR").await?.expect("there is a rate");
        waited += u64::from(rate.tier() == cache_core::event::Tier::None);
        last = *rate;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("200 reads in 2 s, {last} loads, and {waited} of the reads waited for one");
    Ok(())
}
