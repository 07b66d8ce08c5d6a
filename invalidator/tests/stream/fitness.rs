//! `check --stream` against real streams.

use crate::desk::{Desk, Told};
use crate::world::{RULES, World, short_stream};
use async_nats::jetstream::consumer::pull::Config as ConsumerConfig;
use async_nats::jetstream::stream::{Config, StorageType};
use std::time::Duration;

impl Desk {
    /// `check` takes the rules as its argument.
    async fn check(&self, more: &[&str]) -> Told {
        let given = [
            "check",
            "rules.toml",
            "--config",
            "service.toml",
            "--stream",
        ];
        let ended = self.command(&[&given, more].concat()).output().await;
        Told::of(ended.expect("it ends"))
    }
}

fn whats(told: &Told) -> Vec<String> {
    let found = told.json()["findings"].as_array().expect("a list").clone();
    let what = |one: &serde_json::Value| one["what"].as_str().expect("text").to_owned();
    found.iter().map(what).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_in_memory_is_a_problem_and_one_replica_a_warning() {
    let world = World::start().await;
    let desk = Desk::new(&world, RULES);
    let told = desk.check(&[]).await;
    assert_eq!(told.code, 4, "there is no stream yet: {told:?}");
    assert!(told.err.contains("invalidator setup"), "{told:?}");

    desk.done(&["setup"]).await;
    let told = desk.check(&["--json"]).await;
    assert_eq!(
        (told.code, whats(&told)),
        (0, vec!["there is 1 replica".to_owned()])
    );
    let told = desk.check(&[]).await;
    assert!(
        told.out.contains("an outage of 1d must lose none"),
        "{told:?}"
    );

    let context = world.jetstream().await;
    context.delete_stream("CDC").await.expect("it was there");
    let memory = Config {
        storage: StorageType::Memory,
        ..short_stream(-1)
    };
    context.create_stream(memory).await.expect("NATS is up");
    let told = desk.check(&["--json"]).await;
    assert_eq!(told.code, 3, "{told:?}");
    let found = whats(&told);
    assert!(found.contains(&"storage is memory".to_owned()), "{found:?}");
    let missing = "there is no consumer `invalidator`".to_owned();
    assert!(found.contains(&missing), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_sets_what_the_server_lets_it_set() {
    let world = World::start().await;
    let context = world.jetstream().await;
    let stream = context.create_stream(short_stream(-1)).await;
    let stream = stream.expect("NATS is up");
    let other = ConsumerConfig {
        durable_name: Some("invalidator".to_owned()),
        ack_wait: Duration::from_secs(30),
        filter_subject: "cdc.public.>".to_owned(),
        ..ConsumerConfig::default()
    };
    stream.create_consumer(other).await.expect("NATS is up");
    let desk = Desk::new(&world, RULES);
    let told = desk.check(&["--json"]).await;
    assert_eq!(told.code, 3, "{told:?}");
    assert_eq!(whats(&told).len(), 4, "{told:?}");
    world.run(RULES).await.stop().await;
    let told = desk.check(&["--json"]).await;
    assert_eq!(
        (told.code, whats(&told)),
        (0, vec!["there is 1 replica".to_owned()])
    );
}
