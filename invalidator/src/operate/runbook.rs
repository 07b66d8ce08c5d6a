//! What an operator should know before making caches cold.

/// What clearing one cache means.
pub fn of_cache(cache: &str) -> String {
    format!(
        "\
Clearing the cache `{cache}`

What happens   Every value of `{cache}` is refused from now on, in Redis and in every
               process, within a second. Other caches stay as they are. Nothing is deleted:
               old values leave Redis by their TTL.
Load expected  Each key that is still wanted is loaded once in the fleet, by leases. Each
               process begins with few loads at once and takes more while callers wait
               (loads_ramp, loads_max): slow reads for minutes, no flood.
Done when      cacheaside_gets_total{{cache=\"{cache}\",tier=\"none\",result=\"miss\"}} rises at
               once and falls again, and cacheaside_load_turns{{cache=\"{cache}\"}} with it.
Taking back    Not possible, and not needed: what is loaded is right.
"
    )
}

/// What raising the epoch means.
pub fn of_epoch() -> String {
    "\
Raising the epoch

When           After the database was restored to an earlier point. Its change stream does
               not show that; a stream that was made anew raises the epoch by itself.
What happens   Every value of every cache of the domain is refused, in Redis and in every
               process. Every invalidator opens everything anew in the next epoch, by
               itself, within seconds. Sessions begin anew.
Before         Stop writers, or at least finish the restore: what is loaded from a database
               that is going back is stale again at once.
Load expected  All caches are cold together. Each key that is still wanted is loaded once in
               the fleet, and each process begins with few loads at once (loads_ramp,
               loads_max).
Done when      cacheaside_invalidator_epoch shows the new epoch in every instance,
               `invalidator lag` shows it as what L2 has been told, and
               cacheaside_gets_total{tier=\"none\",result=\"miss\"} falls again.
Taking back    Not possible.
"
    .to_owned()
}
