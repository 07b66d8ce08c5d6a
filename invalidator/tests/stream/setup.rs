//! What `setup` makes, and what it leaves alone.

use crate::desk::Desk;
use crate::world::{RULES, World, short_stream};
use async_nats::jetstream::consumer::pull::Config;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setup_makes_what_is_missing_once() {
    let world = World::start().await;
    let desk = Desk::new(&world, RULES);
    let states = async |arguments: &[&str]| {
        let told = desk.done(arguments).await.json();
        let items = told["items"].as_array().expect("a list").clone();
        let state = |item: &serde_json::Value| {
            format!("{}: {}", item["name"], item["state"]).replace('"', "")
        };
        items.iter().map(state).collect::<Vec<_>>()
    };
    let all = |state: &str| {
        let names = [
            "CDC",
            "CACHEASIDE_DLQ",
            "CACHEASIDE_CONTROL",
            "invalidator on CDC",
        ];
        names.map(|name| format!("{name}: {state}")).to_vec()
    };
    let dry = ["setup", "--json", "--dry-run"];
    assert_eq!(states(&dry).await, all("missing"));
    assert_eq!(states(&dry).await, all("missing"), "it made nothing");
    assert_eq!(states(&["setup", "--json"]).await, all("made"));
    assert_eq!(states(&["setup", "--json"]).await, all("there"));
    // What it made is what `serve` takes.
    world.run(RULES).await.stop().await;
    assert_eq!(states(&dry).await, all("there"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setup_tells_what_differs_and_leaves_it() {
    let world = World::start().await;
    let context = world.jetstream().await;
    let stream = context.create_stream(short_stream(-1)).await;
    let stream = stream.expect("NATS is up");
    let other = Config {
        durable_name: Some("invalidator".to_owned()),
        ack_wait: Duration::from_secs(30),
        ..Config::default()
    };
    stream.create_consumer(other).await.expect("NATS is up");
    let desk = Desk::new(&world, RULES);
    for _ in 0..2 {
        let told = desk.run(&["setup", "--json"]).await;
        assert_eq!(told.code, 3, "{told:?}");
        let items = &told.json()["items"];
        let age = json!({"field": "max_age", "asked": "7d", "is": "unlimited"});
        assert_eq!(items[0]["differs"], json!([age]));
        let wait = json!({"field": "ack_wait", "asked": "1s", "is": "30s"});
        let differs = items[3]["differs"].as_array().expect("a list");
        assert!(differs.contains(&wait), "{differs:?}");
    }
    let told = desk.run(&["setup"]).await;
    assert!(
        told.out.contains("max_age is unlimited, not 7d"),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setup_does_not_make_a_stream_that_belongs_to_others() {
    let world = World::start().await;
    let rules = "[source]\nstream = 'NOPE'\n[native]\ncaches = ['users']\n";
    let told = Desk::new(&world, rules).run(&["setup"]).await;
    assert_eq!(told.code, 3, "{told:?}");
    assert!(
        told.out.contains("is not there: write its right name"),
        "{told:?}"
    );
    assert!(world.jetstream().await.get_stream("NOPE").await.is_err());
}
