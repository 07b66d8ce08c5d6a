//! From an application that writes what it made invalid into a table, by `capture outbox`.

use super::{USERS, course, here, row, statements, until_begun};
use crate::database::{self, Capturing, Database};
use crate::world::World;
use invalidator::capture::outbox::app;
use invalidator::capture::outbox::settings::settings;
use std::sync::Arc;

const SETUP: &str = include_str!("../../../examples/capture/outbox/setup.sql");
const CHANGE: &str = include_str!("../../../examples/capture/outbox/change.sql");
const CAPTURE: &str = include_str!("../../../examples/capture/outbox/capture.toml");
const RULES: &str = include_str!("../../../examples/capture/outbox/rules.toml");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_tells_its_keys_in_a_table() {
    let world = World::start().await;
    let database = Database::beside(&world.nats.url()).await;
    database.run(USERS).await;
    for statement in statements(SETUP) {
        database.run(statement).await;
    }
    let url = database.url().replace("//postgres@", "//relay@");
    let given = here("outbox", url, world.nats.url());
    let settings = settings("capture.toml", CAPTURE, &given).expect("a good file");
    let relay = Capturing::start(|admin, stop| app::live(settings, admin, stop)).await;
    until_begun(&world, 0).await;
    let invalidator = world.live(RULES).await;

    let app = database::connect_as(&database.postgres, "app").await;
    let source = Arc::new(database::connect(&database.postgres).await);
    let load = move |id| row(source.clone(), id);
    let change = async { app.batch_execute(CHANGE).await.expect("it may") };
    course(&world, load, change).await;
    invalidator.stop().await;
    relay.stop().await;
}
