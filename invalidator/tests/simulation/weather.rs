//! What a run has to live through: how slow and how lossy each seam is, and which
//! faults strike. Every part of it is drawn from the seed.

use crate::dice::Dice;

/// The faults that strike one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// One record goes, as under memory pressure.
    Eviction,
    /// A part of L2 goes back to what it held a moment ago.
    Failover,
    /// All of L2 restarts empty.
    EmptyRestart,
    /// All of L2 restarts with what it held long ago.
    OldSnapshot,
    /// A part of L2 refuses connections.
    ShardDown,
    /// A part of L2 takes requests and does not answer, and does them later.
    ShardHangs,
    /// One process hears nothing, and nobody tells it.
    SilentCut,
    /// One process hears nothing, and is told when it is over.
    ToldCut,
    /// Nobody can publish.
    BusDown,
    /// A library process dies and another one starts.
    MemberCrash,
    /// A library process stands still.
    MemberHeld,
    /// An invalidator dies between any two steps and another one starts.
    InvalidatorCrash,
    /// An invalidator stands still.
    InvalidatorHeld,
    /// Everything stops at once, and L2 comes back with what it had on disk.
    PowerCut,
    /// A wall clock jumps.
    ClockStep,
    /// The replica of the database stops replaying.
    ReplicaStalls,
    /// The relay publishes its last events again.
    RelayRepeats,
    /// The stream delivers an old event again.
    Redelivery,
    /// An event that cannot be read.
    Poison,
}

/// All of them.
pub(crate) const FAULTS: [Fault; 19] = [
    Fault::Eviction,
    Fault::Failover,
    Fault::EmptyRestart,
    Fault::OldSnapshot,
    Fault::ShardDown,
    Fault::ShardHangs,
    Fault::SilentCut,
    Fault::ToldCut,
    Fault::BusDown,
    Fault::MemberCrash,
    Fault::MemberHeld,
    Fault::InvalidatorCrash,
    Fault::InvalidatorHeld,
    Fault::PowerCut,
    Fault::ClockStep,
    Fault::ReplicaStalls,
    Fault::RelayRepeats,
    Fault::Redelivery,
    Fault::Poison,
];

/// How one run's seams behave.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// The longest way to L2 and back, in milliseconds.
    pub(crate) l2_millis: u64,
    /// The share of requests to L2 that are lost.
    pub(crate) l2_lost: f64,
    /// The share whose answer is lost.
    pub(crate) l2_unanswered: f64,
    /// The share that arrives after the caller gave up.
    pub(crate) l2_late: f64,
    /// The longest way over the bus, in milliseconds.
    pub(crate) bus_millis: u64,
    /// The share of messages that one subscriber does not get.
    pub(crate) bus_lost: f64,
    /// The share of messages that overtake the one before.
    pub(crate) bus_swapped: f64,
    /// The longest way from a commit into the stream, in milliseconds.
    pub(crate) relay_millis: u64,
    /// The share of events that are delivered twice.
    pub(crate) delivered_twice: f64,
    /// The share of acknowledgements that are lost.
    pub(crate) ack_lost: f64,
    /// Whether the stream delivers in any order.
    pub(crate) shuffled: bool,
    /// The longest time that the replica is behind, in milliseconds.
    pub(crate) replica_millis: u64,
    /// The longest that a load takes, in milliseconds.
    pub(crate) load_millis: u64,
    /// The share of loads that read from the replica.
    pub(crate) replica_loads: f64,
    /// Whether nobody has used L2 before.
    pub(crate) l2_is_new: bool,
    /// How many invalidators run.
    pub(crate) invalidators: usize,
    /// Whether writers invalidate by themselves, before the event.
    pub(crate) writers_invalidate: bool,
    /// Whether some changes are written through the cache.
    pub(crate) writers_write_through: bool,
    /// Whether some changes are written behind the cache.
    pub(crate) writers_write_behind: bool,
    /// Whether entries expire within a run, and are served stale where a load is slow.
    pub(crate) short_lives: bool,
    /// What strikes.
    pub(crate) faults: Vec<Fault>,
    /// The mean time between two strikes, in milliseconds.
    pub(crate) strike_millis: u64,
}

impl Weather {
    /// Draws the weather of a run: a quarter of them calm, the others with a few
    /// kinds of trouble each, since one loud fault hides what a quiet one shows.
    pub(crate) fn draw(dice: &Dice) -> Self {
        let calm = dice.chance(0.25);
        let rare = |share: f64| match calm || dice.chance(0.5) {
            true => 0.0,
            false => share,
        };
        let count = if calm { 0 } else { dice.pick(0..5) };
        let faults = (0..count)
            .map(|_| FAULTS[dice.pick(0..FAULTS.len())])
            .collect();
        let millis = |most: usize| dice.pick(2..most) as u64;
        Self {
            l2_millis: millis(12),
            l2_lost: rare(0.02),
            l2_unanswered: rare(0.02),
            l2_late: rare(0.02),
            bus_millis: millis(40),
            bus_lost: rare(0.02),
            bus_swapped: rare(0.01),
            relay_millis: millis(60),
            delivered_twice: rare(0.1),
            ack_lost: rare(0.1),
            shuffled: !calm && dice.chance(0.3),
            replica_millis: millis(120),
            load_millis: millis(60),
            replica_loads: if dice.chance(0.5) { 0.0 } else { 0.4 },
            l2_is_new: dice.chance(0.25),
            invalidators: dice.pick(1..3),
            writers_invalidate: dice.chance(0.3),
            writers_write_through: dice.chance(0.3),
            writers_write_behind: dice.chance(0.3),
            short_lives: dice.chance(0.3),
            faults,
            strike_millis: millis(500).max(80),
        }
    }
}
