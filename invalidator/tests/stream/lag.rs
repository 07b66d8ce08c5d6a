//! What `lag` and `tail` show, and that showing it changes nothing.

use crate::desk::Desk;
use crate::world::{RULES, World, until, update};
use async_nats::jetstream::consumer::pull::Config;
use serde_json::{Value, json};
use std::process::Stdio;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_tells_what_waits_and_what_is_done() {
    let world = World::start().await;
    let desk = Desk::new(&world, RULES);
    let lag = async || desk.done(&["lag", "--json"]).await.json();
    assert_eq!(desk.run(&["lag"]).await.code, 4, "there is no stream");
    desk.done(&["setup"]).await;
    let stream = world.jetstream().await.get_stream("CDC").await;
    let other = Config {
        durable_name: Some("another".to_owned()),
        ..Config::default()
    };
    let made = stream.expect("setup made it").create_consumer(other).await;
    made.expect("NATS is up");
    world.publish(&[update(1), update(2), update(3)]).await;

    let before = lag().await;
    let ours = &before["consumers"][0];
    assert_eq!(ours["consumer"], "invalidator");
    assert_eq!((&ours["pending"], &ours["done"]), (&json!(3), &json!(0)));
    assert!(ours["oldest_seconds"].as_f64().is_some(), "{before}");
    assert_eq!(before["consumers"][1]["consumer"], "another");
    assert_eq!(
        (&before["last"], &before["l2_seen"]),
        (&json!(3), &Value::Null)
    );
    let text = desk.done(&["lag"]).await.out;
    assert!(text.contains("invalidator*"), "{text}");
    assert!(text.contains("L2 does not tell"), "{text}");

    let running = world.run(RULES).await;
    until("L2 has been told", async || {
        lag().await["l2_seen"] == json!({"epoch": 0, "sequence": 3})
    })
    .await;
    let after = lag().await;
    let ours = &after["consumers"][0];
    assert_eq!((&ours["pending"], &ours["done"]), (&json!(0), &json!(3)));
    assert_eq!(ours["oldest_seconds"], Value::Null);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_tells_of_nats_what_it_can_while_redis_is_away() {
    let world = World::start().await;
    let desk = Desk::new(&world, RULES);
    desk.done(&["setup"]).await;
    world.redis.kill9();
    let told = desk.done(&["lag", "--json"]).await;
    assert_eq!(told.json()["l2_seen"], Value::Null);
    assert!(told.err.contains("L2 is not asked"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_shows_what_the_rules_make_of_events_and_consumes_none() {
    let world = World::start().await;
    let desk = Desk::new(&world, RULES);
    desk.done(&["setup"]).await;
    world.publish(&[update(1), update(2), "{".to_owned()]).await;
    let from = ["tail", "--json", "--from-seq", "2", "--count", "2"];
    let told = desk.done(&from).await;
    let lines: Vec<Value> = told
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    assert_eq!(lines[0]["sequence"], 2);
    assert_eq!(lines[0]["invalidates"], json!([{"key": "users:user:2"}]));
    assert_eq!(lines[0]["dead_letter"], Value::Null);
    let letter = lines[1]["dead_letter"].as_str().expect("a reason");
    assert!(letter.contains("not JSON"), "{letter}");
    assert_eq!(lines[1]["invalidates"], json!([{"tag": "users:*"}]));

    let since = desk.done(&["tail", "--since", "1h", "--count", "1"]).await;
    assert!(since.out.contains("key users:user:1"), "{since:?}");
    let lag = desk.done(&["lag", "--json"]).await.json();
    let consumers = lag["consumers"].as_array().expect("a list");
    let [ours] = &consumers[..] else {
        panic!("those who only look are none: {consumers:?}");
    };
    assert_eq!(ours["pending"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_waits_for_what_comes() {
    let world = World::start().await;
    let desk = Desk::new(&world, RULES);
    desk.done(&["setup"]).await;
    world.publish(&[update(1)]).await;
    let files = ["--config", "service.toml", "--rules", "rules.toml"];
    let arguments = ["tail", "--count", "1", "--subject", "cdc.public.users"];
    let mut command = desk.command(&[&arguments[..], &files].concat());
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut ended = false;
    while !ended {
        // Until it listens, it hears nothing.
        world.publish(&[update(2)]).await;
        ended = child.try_wait().expect("it is there").is_some();
    }
    let told = child.wait_with_output().await.expect("it ended");
    let out = String::from_utf8(told.stdout).expect("it is text");
    assert!(out.contains("key users:user:2"), "{out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_date_that_is_none_is_a_wrong_argument() {
    let world = World::start().await;
    let desk = Desk::new(&world, RULES);
    let told = desk.run(&["tail", "--since", "yesterday"]).await;
    assert_eq!(told.code, 2, "{told:?}");
    assert!(told.err.contains("a time ago like 15m"), "{told:?}");
}
