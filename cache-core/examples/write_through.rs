//! Write-through: the source first, then the cache. `cargo run --example write_through`

use cache_core::event::Silent;
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, DomainSettings, Error, Lookup, Policy, Role, WriteError, connect};
use std::sync::{Arc, Mutex};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let settings = DomainSettings::embedded();
    let domain = connect::open(&settings, Role::Member, Arc::new(Silent)).await?;
    let cache: Cache<String> = Cache::open(&domain, Policy::new("users")?, Bincode::default())?;

    let row = Arc::new(Mutex::new("Ada".to_owned()));
    let table = row.clone();
    let users = cache.write_through(move |_key, name: Option<String>| {
        let name = name.unwrap_or_default();
        let refused = name.is_empty().then(|| WriteError::not_written("no name"));
        // Your UPDATE, committed on return; what it made of the row is cached.
        let committed = refused.map_or_else(
            || {
                name.clone_into(&mut table.lock().expect("no panic"));
                Ok(Some(name))
            },
            Err,
        );
        async move { committed }
    });

    let receipt = users.put("user:7", "Grace".to_owned()).await?;
    println!("stored: {}, at {:?}", receipt.stored, receipt.position);
    if let Lookup::Hit(user) = cache.get("user:7").await? {
        println!("{} from {}, and nobody had to load it", *user, user.tier());
    }

    let refused = users.put("user:7", String::new()).await;
    println!("{}", refused.expect_err("the source refuses"));
    println!("the row is {}", row.lock().expect("no panic"));
    Ok(())
}
