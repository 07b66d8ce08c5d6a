//! From MariaDB, by `capture mariadb`.

use super::{CHANGE, USERS, course, here, statements, until_begun};
use crate::database::Capturing;
use crate::world::World;
use cache_core::source::Cause;
use cache_core::testkit::servers::mariadb::MariadbServer;
use invalidator::capture::mariadb::app;
use invalidator::capture::mariadb::settings::settings;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Pool};

const SETUP: &str = include_str!("../../../examples/capture/mariadb/setup.sql");
const CAPTURE: &str = include_str!("../../../examples/capture/mariadb/capture.toml");
const RULES: &str = include_str!("../../../examples/capture/mariadb/rules.toml");

async fn row(pool: Pool, id: i64) -> Result<Option<String>, Cause> {
    let mut conn = pool.get_conn().await?;
    let sql = "SELECT name FROM shop.users WHERE id = ?";
    Ok(conn.exec_first(sql, (id,)).await?)
}

async fn run(conn: &mut Conn, sql: &str) {
    let ran = conn.query_drop(sql).await;
    ran.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_mariadb_is_captured() {
    let (world, server) = tokio::join!(World::start(), MariadbServer::start());
    let server = server.expect("a MariaDB");
    let url = server.url().replace("mariadb://", "mysql://");
    let pool = Pool::new(Opts::from_url(&url).expect("an address"));
    let mut conn = pool.get_conn().await.expect("MariaDB is up");
    for sql in ["CREATE DATABASE shop", "USE shop", USERS] {
        run(&mut conn, sql).await;
    }
    for statement in statements(SETUP) {
        run(&mut conn, statement).await;
    }
    let url = server.url().replace("//root@", "//capture@");
    let given = here("mariadb", url, world.nats.url());
    let settings = settings("capture.toml", CAPTURE, &given).expect("a good file");
    let capture = Capturing::start(|admin, stop| app::live(settings, admin, stop)).await;
    until_begun(&world, 1).await;
    let invalidator = world.live(RULES).await;

    let source = pool.clone();
    let load = move |id| row(source.clone(), id);
    course(&world, load, run(&mut conn, CHANGE)).await;
    invalidator.stop().await;
    capture.stop().await;
    drop(conn);
    pool.disconnect().await.expect("it hangs up");
}
