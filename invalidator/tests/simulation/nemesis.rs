//! Strikes: one fault at a time out of the run's few, each healed before long.

use crate::carrier::Carrier;
use crate::database::ROWS;
use crate::l2::{Past, SHARDS, Shard};
use crate::member::Member;
use crate::time::pause;
use crate::weather::Fault;
use crate::world::{MEMBERS, World};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Strikes until the sky clears up.
pub(crate) async fn strike_on(world: Arc<World>) {
    let dice = &world.sky.dice;
    let weather = &world.sky.weather;
    let mut old = world.l2.past();
    while !weather.faults.is_empty() && !world.sky.is_clear() {
        pause(dice.span(1..2 * weather.strike_millis)).await;
        if world.sky.is_clear() {
            return;
        }
        let fault = weather.faults[dice.pick(0..weather.faults.len())];
        world.oracle.say(|| format!("strike: {fault:?}"));
        strike(&world, fault, &old).await;
        if dice.chance(0.3) {
            old = world.l2.past();
        }
        world.oracle.say(|| format!("over: {fault:?}"));
    }
}

async fn strike(world: &Arc<World>, fault: Fault, old: &Past) {
    match fault {
        Fault::Eviction => {
            let row = world.sky.dice.pick(0..ROWS);
            world.l2.evict(row);
        }
        Fault::Failover => fail_over(world).await,
        Fault::EmptyRestart => world.l2.restart(None),
        Fault::OldSnapshot => world.l2.restart(Some(old)),
        Fault::ShardDown => shard(world, Shard::Down).await,
        Fault::ShardHangs => shard(world, Shard::Hangs).await,
        Fault::SilentCut => cut(world, false).await,
        Fault::ToldCut => cut(world, true).await,
        Fault::BusDown => bus_down(world).await,
        Fault::MemberCrash => member_crash(world).await,
        Fault::MemberHeld => member_held(world).await,
        Fault::InvalidatorCrash => invalidator_crash(world).await,
        Fault::InvalidatorHeld => invalidator_held(world).await,
        Fault::PowerCut => power_cut(world).await,
        Fault::ClockStep => {
            let member = a_member(world);
            let hours = world.sky.dice.pick(0..5) as i64 - 2;
            member.clock.skew(hours * 3_600_000);
        }
        Fault::ReplicaStalls => {
            world.database.stall(true);
            a_while(world, 700).await;
            world.database.stall(false);
        }
        Fault::RelayRepeats => {
            let count = world.sky.dice.pick(1..10);
            world.database.repeat(&world.stream, count);
        }
        Fault::Redelivery => world.stream.deliver_again(),
        Fault::Poison => {
            world.stream.publish("{ not an event".to_owned());
        }
    }
}

/// Lasts a while, and tells the oracle that the bound does not cover it.
async fn a_while(world: &World, millis: u64) {
    let span = world.sky.dice.span(1..millis);
    world.oracle.broken_until(Instant::now() + span);
    pause(span).await;
    world.oracle.broken_until(Instant::now());
}

fn a_member(world: &World) -> Arc<Member> {
    world.members.lock()[world.sky.dice.pick(0..MEMBERS)].clone()
}

/// What the replica has not heard yet is lost.
async fn fail_over(world: &World) {
    let past = world.l2.past();
    a_while(world, 300).await;
    world.l2.fail_over(world.sky.dice.pick(0..SHARDS), &past);
}

async fn shard(world: &World, state: Shard) {
    let shard = world.sky.dice.pick(0..SHARDS);
    world.l2.set(shard, state);
    a_while(world, 800).await;
    world.l2.set(shard, Shard::Up);
}

async fn cut(world: &World, told: bool) {
    let process = world.sky.dice.pick(0..MEMBERS);
    world.hub.cut(process, true, told);
    // Not announced as broken: a process that hears nothing must know it by itself.
    pause(world.sky.dice.span(1..1_500)).await;
    world.hub.cut(process, false, told);
}

async fn bus_down(world: &World) {
    world.hub.set_down(true);
    a_while(world, 800).await;
    world.hub.set_down(false);
}

async fn member_crash(world: &Arc<World>) {
    let process = world.sky.dice.pick(0..MEMBERS);
    world.members.lock()[process].life.crash();
    a_while(world, 300).await;
    let member = Member::start(world, process).await;
    world.members.lock()[process] = member;
}

async fn member_held(world: &World) {
    let member = a_member(world);
    member.life.hold(true);
    pause(world.sky.dice.span(1..1_500)).await;
    member.life.hold(false);
}

async fn invalidator_crash(world: &Arc<World>) {
    let at = world.sky.dice.pick(0..world.sky.weather.invalidators);
    world.carriers.lock()[at].life.crash();
    a_while(world, 300).await;
    let carrier = Carrier::start(world, MEMBERS + at).await;
    world.carriers.lock()[at] = carrier;
    world
        .oracle
        .broken_until(Instant::now() + Duration::from_millis(1));
}

async fn invalidator_held(world: &World) {
    let at = world.sky.dice.pick(0..world.sky.weather.invalidators);
    let life = world.carriers.lock()[at].life.clone();
    life.hold(true);
    a_while(world, 1_500).await;
    life.hold(false);
}

/// Nobody is left who remembers what L2 lost.
async fn power_cut(world: &Arc<World>) {
    let disk = world.l2.past();
    a_while(world, 500).await;
    for process in 0..MEMBERS {
        world.members.lock()[process].life.crash();
    }
    let invalidators = world.sky.weather.invalidators;
    for at in 0..invalidators {
        world.carriers.lock()[at].life.crash();
    }
    world.l2.restart(Some(&disk));
    for at in 0..invalidators {
        let carrier = Carrier::start(world, MEMBERS + at).await;
        world.carriers.lock()[at] = carrier;
    }
    for process in 0..MEMBERS {
        let member = Member::start(world, process).await;
        world.members.lock()[process] = member;
    }
    world.oracle.broken_until(Instant::now());
}
