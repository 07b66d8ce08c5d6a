//! A function with a cache before it. `cargo run --example memoize`

use cache_core::event::Silent;
use cache_core::source::Cause;
use cache_core::{Cache, DomainSettings, Error, KeyTemplate, Role, connect};
use std::sync::Arc;
use std::time::Duration;

async fn price((article, currency): (u64, &'static str)) -> Result<Option<u64>, Cause> {
    println!("  the price of {article} in {currency} is worked out");
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok((article < 100).then_some(article * 250))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let settings = DomainSettings::embedded();
    let domain = connect::open(&settings, Role::Member, Arc::new(Silent)).await?;
    let cache = Cache::<u64>::builder("prices")
        .ttl(Duration::from_secs(3600))
        .open(&domain)?;

    let price = cache.memoize(KeyTemplate::new("price:{article}:{currency}")?, price)?;
    for (article, currency) in [
        (7, "EUR"),
        (7, "EUR"),
        (7, "CHF"),
        (100, "EUR"),
        (100, "EUR"),
    ] {
        match price.call((article, currency)).await? {
            Some(found) => println!("{article}: {} {currency} from {}", *found, found.tier()),
            None => println!("{article} has no price in {currency}"),
        }
    }

    price.invalidate(&(7, "EUR")).await?;
    let found = price.call((7, "EUR")).await?.expect("a price");
    println!("after an invalidation, from {}", found.tier());
    Ok(())
}
