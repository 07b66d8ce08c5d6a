//! What every bus does.

use crate::bus::{Bus, Heard, Subscription};
use bytes::Bytes;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);
const MESSAGES: u32 = 2_000;

/// Runs every case.
///
/// # Panics
/// At the first answer that breaks the contract.
pub async fn check(bus: &dyn Bus) {
    an_echo_comes_after_everything_before_it(bus).await;
    every_subscription_hears_a_publishers_order(bus).await;
}

async fn next(subscription: &mut dyn Subscription) -> Heard {
    let heard = tokio::time::timeout(PATIENCE, subscription.next()).await;
    heard.expect("something is heard").expect("the bus is open")
}

/// Hears until the echo, and returns the messages before it.
async fn drain(subscription: &mut dyn Subscription, nonce: u64) -> Vec<Bytes> {
    let mut messages = Vec::new();
    loop {
        match next(subscription).await {
            Heard::Message(message) => messages.push(message),
            Heard::Echo(echo) if echo == nonce => return messages,
            Heard::Echo(other) => panic!("echo {other} for ping {nonce}"),
            // A new connection says so; what counts is after the first ping.
            Heard::Lost(_) => messages.clear(),
        }
    }
}

async fn an_echo_comes_after_everything_before_it(bus: &dyn Bus) {
    let mut ear = bus.subscribe().await.expect("the bus is there");
    ear.ping(1).await.expect("the bus is there");
    assert!(drain(&mut *ear, 1).await.is_empty());
    bus.publish(Bytes::from_static(b"one"))
        .await
        .expect("the bus is there");
    ear.ping(2).await.expect("the bus is there");
    assert_eq!(drain(&mut *ear, 2).await, [Bytes::from_static(b"one")]);
}

async fn every_subscription_hears_a_publishers_order(bus: &dyn Bus) {
    let mut ears = Vec::new();
    for _ in 0..3 {
        let mut ear = bus.subscribe().await.expect("the bus is there");
        ear.ping(1).await.expect("the bus is there");
        drain(&mut *ear, 1).await;
        ears.push(ear);
    }
    for n in 0..MESSAGES {
        let message = Bytes::copy_from_slice(&n.to_be_bytes());
        bus.publish(message).await.expect("the bus is there");
    }
    for ear in &mut ears {
        ear.ping(2).await.expect("the bus is there");
        let mut heard = Vec::new();
        // The publisher may use another connection than the ear: its messages can
        // come after the echo, but not out of order.
        while heard.len() < MESSAGES as usize {
            match next(&mut **ear).await {
                Heard::Message(message) => heard.push(message),
                Heard::Echo(_) => {}
                Heard::Lost(reason) => panic!("{reason}"),
            }
        }
        let sent = (0..MESSAGES).map(|n| Bytes::copy_from_slice(&n.to_be_bytes()));
        assert!(heard.into_iter().eq(sent), "in order, none twice");
    }
}
