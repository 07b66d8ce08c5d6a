//! Query results, invalidated by their tables. `cargo run --example query_results`

use cache_core::event::Silent;
use cache_core::query::{Query, spelling::Dialect};
use cache_core::source::{Cause, Loaded, Wanted};
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, DomainSettings, Error, Policy, Role, Tag, connect};
use std::sync::Arc;

async fn report(cache: &Cache<Vec<String>>, query: &Query, user: u64) -> Result<(), Error> {
    let tags = query.tags();
    let load = async move |_: Wanted<_>| {
        let rows = vec![format!("an order of user {user}")];
        Ok::<_, Cause>(Loaded::value(rows).tagged(tags))
    };
    let rows = cache.get_or_load(query.key(&[&user]), load).await?;
    let rows = rows.expect("there are orders");
    println!("{:?} from {}", *rows, rows.tier());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let settings = DomainSettings::embedded();
    let domain = connect::open(&settings, Role::Member, Arc::new(Silent)).await?;
    let cache = Cache::open(&domain, Policy::new("reports")?, Bincode::default())?;

    let sql = "SELECT o.title FROM orders o JOIN users u ON u.id = o.user_id WHERE u.id = $1";
    let query = Query::parse(sql, Dialect::Postgres)?;
    println!(
        "{}\n  {:?}, {}",
        query.shape(),
        query.tags(),
        query.key(&[&7])
    );

    for _ in 0..2 {
        report(&cache, &query, 7).await?;
    }
    // What a rule of the invalidator does when a row of the table changes.
    cache.invalidate_tag(Tag::new("table:users")?).await?;
    report(&cache, &query, 7).await?;

    let clock = Query::parse("SELECT * FROM orders WHERE due < now()", Dialect::Postgres);
    println!("{}", clock.expect_err("no table says when it changes"));
    Ok(())
}
