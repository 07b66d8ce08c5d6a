//! Cache-aside: the caller loads on a miss. `cargo run --example cache_aside`

use cache_core::wire::codec::Bincode;
use cache_core::{Cache, DomainSettings, Error, Lookup, Policy, Role, connect, event};
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let settings = DomainSettings::embedded();
    let domain = connect::open(&settings, Role::Member, Arc::new(event::Silent)).await?;
    let users: Cache<String> = Cache::open(&domain, Policy::new("users")?, Bincode::default())?;

    for _ in 0..2 {
        match users.get("user:7").await? {
            Lookup::Hit(user) => println!("{} from {}", *user, user.tier()),
            Lookup::Absent => println!("there is no such user"),
            // The ticket is the lease: while it lives, others wait for this fill.
            Lookup::Miss(ticket) => {
                let row = Some("Ada".to_owned());
                let (_, outcome) = ticket.fill(row, None).await?;
                println!("loaded and {outcome:?}");
            }
        }
    }

    // A change during the load wins over the load.
    users.invalidate("user:7").await?;
    if let Lookup::Miss(ticket) = users.get("user:7").await? {
        users.invalidate("user:7").await?;
        let (_, outcome) = ticket.fill(Some("an old Ada".to_owned()), None).await?;
        println!("a value older than the change: {outcome:?}");
    }
    Ok(())
}
