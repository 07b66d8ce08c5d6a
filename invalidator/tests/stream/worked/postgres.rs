//! From Postgres, by `capture postgres`.

use super::{CHANGE, USERS, course, here, row, statements, until_begun};
use crate::database::{self, Capturing, Database};
use crate::world::{World, until};
use invalidator::capture::app;
use invalidator::capture::settings::settings;
use std::sync::Arc;

const SETUP: &str = include_str!("../../../examples/capture/postgres/setup.sql");
const REMOVE: &str = include_str!("../../../examples/capture/postgres/remove.sql");
const CAPTURE: &str = include_str!("../../../examples/capture/postgres/capture.toml");
const RULES: &str = include_str!("../../../examples/capture/postgres/rules.toml");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_postgres_is_captured() {
    let world = World::start().await;
    let database = Database::beside(&world.nats.url()).await;
    database.run(USERS).await;
    for statement in statements(SETUP) {
        database.run(statement).await;
    }
    let url = database.url().replace("//postgres@", "//capture@");
    let given = here("postgres", url, world.nats.url());
    let settings = settings("capture.toml", CAPTURE, &given).expect("a good file");
    let capture = Capturing::start(|admin, stop| app::live(settings, admin, stop)).await;
    until_begun(&world, 1).await;
    let invalidator = world.live(RULES).await;

    let source = Arc::new(database::connect(&database.postgres).await);
    let load = move |id| row(source.clone(), id);
    course(&world, load, database.run(CHANGE)).await;
    invalidator.stop().await;
    capture.stop().await;

    let taken = "SELECT count(*)::text FROM pg_replication_slots WHERE active";
    until("the slot is free", async || {
        database.ask(taken).await == "0"
    })
    .await;
    for statement in statements(REMOVE) {
        database.run(statement).await;
    }
}
