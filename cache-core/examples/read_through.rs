//! Read-through: the cache loads what it misses. `cargo run --example read_through`

use cache_core::source::{Cause, Wanted};
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, DomainSettings, Error, KeyTemplate, Policy, Role, connect, event};
use std::sync::Arc;

async fn from_the_database(wanted: Wanted<String>) -> Result<Option<String>, Cause> {
    println!("  the database is asked for {}", wanted.text());
    Ok(Some("Ada".to_owned()))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    // Everything in this process; in production, Redis and NATS by `DomainSettings`.
    let settings = DomainSettings::embedded();
    let domain = connect::open(&settings, Role::Member, Arc::new(event::Silent)).await?;
    let cache = Cache::open(&domain, Policy::new("users")?, Bincode::default())?;
    let users = cache.read_through(from_the_database);

    let key = KeyTemplate::new("user:{id}")?.render(&[("id", &7)])?;
    for _ in 0..2 {
        let user = users.get(&key).await?.expect("every user is Ada");
        println!("{} from {}", *user, user.tier());
    }
    cache.invalidate(&key).await?;
    let user = users.get(&key).await?.expect("every user is Ada");
    println!("after an invalidation, {} from {}", *user, user.tier());
    Ok(())
}
