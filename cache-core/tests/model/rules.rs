//! The rules of the protocol, each with a switch: what falls when one is taken
//! out is written in `ablations`.

/// Which rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// A fill needs an as-of at or above the floor.
    pub(crate) fill_compares_floor: bool,
    /// A fill needs the lease that it was loaded under.
    pub(crate) fill_needs_lease: bool,
    /// A fill over a value that has expired needs an as-of at or above the value's.
    pub(crate) expired_has_floor: bool,
    /// A record that is not there has the watermark for its floor when a lease is
    /// asked for.
    pub(crate) absent_has_floor: bool,
    /// An invalidation lowers nothing: an absent record gets the watermark, a mark
    /// keeps its higher floor.
    pub(crate) floor_only_rises: bool,
    /// L1 keeps a value only under the fence ticket taken before it was read.
    pub(crate) fence_decides: bool,
    /// L1 keeps only what L2 accepted.
    pub(crate) l1_follows_l2: bool,
    /// A hole in a publisher's numbers drops all of L1.
    pub(crate) gap_drops_l1: bool,
    /// A heartbeat carries its publisher's last number.
    pub(crate) beat_tells_last: bool,
    /// A publisher whose beginning was not heard counts as a gap.
    pub(crate) stranger_is_gap: bool,
    /// A publisher that falls silent counts as a gap.
    pub(crate) silence_is_gap: bool,
    /// L1 answers only while signs of life are heard.
    pub(crate) trust_lapses: bool,
    /// L2 applies a change before the bus carries it.
    pub(crate) l2_first: bool,
    /// An event is acknowledged after the bus has carried it.
    pub(crate) ack_last: bool,
    /// A heartbeat raises the floor of a bucket that lost writes.
    pub(crate) beat_raises_floor: bool,
    /// A raised floor is told to every L1.
    pub(crate) raise_is_told: bool,
    /// A reader refuses a bucket whose `applied` is behind what it heard.
    pub(crate) horizon_applied: bool,
    /// A reader refuses a bucket whose `seen` is behind what it heard.
    pub(crate) horizon_seen: bool,
    /// An event leaves only when its change can be read on the primary.
    pub(crate) barrier: bool,
    /// A caller does not join a flight of its key that an invalidation overtook.
    pub(crate) flight_has_ticket: bool,
    /// Nor one that an invalidation of a tag overtook.
    pub(crate) flight_counts_tags: bool,
    /// The announcer tells L2 what it knows of a bucket; `apply` raises the floor
    /// of a bucket that is behind before it moves the watermark past the loss.
    pub(crate) apply_tells_known: bool,
    /// A bucket without the last heartbeat it was surely given has lost writes,
    /// whatever its `applied` says.
    pub(crate) beat_tells_told: bool,
    /// An invalidator begins behind the lowest heartbeat that L2 still holds.
    pub(crate) restart_replays: bool,
    /// A heartbeat says how far everything was applied, not how far anything was.
    pub(crate) seen_is_contiguous: bool,
    /// A load that must reach further than the replica goes to the primary, as a
    /// loader can tell by what it is asked for.
    pub(crate) load_reaches: bool,
    /// A tag's stamp is taken before the first outside read.
    pub(crate) stamp_is_old: bool,
    /// A tag's stamp is not above the as-of of a value read from a replica.
    pub(crate) stamp_within_as_of: bool,
    /// A tag that changed makes L1 check its entries' stamps again.
    pub(crate) tags_recheck_l1: bool,
    /// A value in L2 is served only if its stamps reach its tags' floors.
    pub(crate) tags_checked_in_l2: bool,
    /// A tag that nobody knows has the watermark for its floor.
    pub(crate) absent_tag_has_floor: bool,
    /// A hit is old enough to miss when its as-of is below `at_least`.
    pub(crate) hit_compares_at_least: bool,
    /// A raised epoch raises the floor of every bucket.
    pub(crate) epoch_raises_floor: bool,
    /// A floor made by a local invalidation refuses values from a replica.
    pub(crate) tick_refuses_replica: bool,
    /// A writer stores its value only over a quarantine that L2 confirmed before the commit.
    pub(crate) quarantine_precedes_commit: bool,
    /// A writer stores its value only over its own quarantine.
    pub(crate) store_needs_token: bool,
    /// A quarantine below its bucket's floor counts as lost.
    pub(crate) store_needs_whole_bucket: bool,
    /// A written value is as old as its quarantine: what was applied since may have been
    /// committed after it.
    pub(crate) store_is_as_old_as_quarantine: bool,
    /// A writer that lost its quarantine invalidates instead.
    pub(crate) lost_token_invalidates: bool,
    /// An invalidation ends a quarantine: another writer was faster.
    pub(crate) invalidation_ends_quarantine: bool,
    /// Changes of one bucket are applied in the order of their positions, as far as a
    /// failover could tell: a bucket that moved to another node is doubted, which
    /// makes good for those that were not.
    pub(crate) applies_in_order: bool,
}

impl Rules {
    /// The protocol.
    pub(crate) const fn all() -> Self {
        Self {
            fill_compares_floor: true,
            fill_needs_lease: true,
            expired_has_floor: true,
            absent_has_floor: true,
            floor_only_rises: true,
            fence_decides: true,
            l1_follows_l2: true,
            gap_drops_l1: true,
            beat_tells_last: true,
            stranger_is_gap: true,
            silence_is_gap: true,
            trust_lapses: true,
            l2_first: true,
            ack_last: true,
            beat_raises_floor: true,
            raise_is_told: true,
            horizon_applied: true,
            horizon_seen: true,
            barrier: true,
            flight_has_ticket: true,
            flight_counts_tags: true,
            apply_tells_known: true,
            beat_tells_told: true,
            restart_replays: true,
            seen_is_contiguous: true,
            load_reaches: true,
            stamp_is_old: true,
            stamp_within_as_of: true,
            tags_recheck_l1: true,
            tags_checked_in_l2: true,
            absent_tag_has_floor: true,
            hit_compares_at_least: true,
            epoch_raises_floor: true,
            tick_refuses_replica: true,
            quarantine_precedes_commit: true,
            store_needs_token: true,
            store_needs_whole_bucket: true,
            store_is_as_old_as_quarantine: true,
            lost_token_invalidates: true,
            invalidation_ends_quarantine: true,
            applies_in_order: true,
        }
    }

    /// The protocol without some of its rules.
    pub(crate) fn without(take_out: fn(&mut Self)) -> Self {
        let mut rules = Self::all();
        take_out(&mut rules);
        rules
    }
}
