//! Write-behind: a queue first, the source soon after. `cargo run --example write_behind`

use cache_core::event::Silent;
use cache_core::wire::codec::Bincode;
use cache_core::{
    Behind, Cache, DomainSettings, Due, Error, Loaded, Policy, Role, WriteError, connect,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let settings = DomainSettings::embedded();
    let domain = connect::open(&settings, Role::Member, Arc::new(Silent)).await?;
    let policy = Policy::new("visits")?;
    // In NATS if the settings name one, and in this process's memory here.
    let queue = connect::queue(&settings, &policy.name).await?;
    let cache: Cache<u64> = Cache::open(&domain, policy, Bincode::default())?;

    let table = Arc::new(Mutex::new(HashMap::new()));
    let rows = table.clone();
    let write = move |due: Vec<Due<u64>>| {
        println!("one statement for {} rows", due.len());
        let mut rows = rows.lock().expect("no panic");
        // INSERT … SELECT FROM unnest(…) ON CONFLICT DO UPDATE … WHERE version < excluded.version
        let written = due.into_iter().map(|due| {
            rows.insert(due.key, due.value);
            Loaded::from(due.value)
        });
        let written: Vec<_> = written.collect();
        async move { Ok::<_, WriteError>(written) }
    };
    let visits = cache.write_behind(queue, write, Behind::default())?;

    let mut last = 0;
    for visit in 1..=1_000 {
        last = visits.put(format!("page:{}", visit % 10), visit).await?;
    }
    let written = visits.is_written(last, Duration::from_secs(5)).await?;
    let rows = table.lock().expect("no panic").len();
    println!("1000 writes are in {rows} rows: {written}");
    domain.leave().await;
    Ok(())
}
