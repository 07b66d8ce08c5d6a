//! MariaDB with TLS: in every mode.

use super::{Case, every_mode, judged};
use cache_core::testkit::certificates::Guard;
use cache_core::testkit::servers::mariadb::MariadbServer;
use invalidator::capture::mariadb::session::{Session, changes};
use invalidator::capture::mariadb::settings::settings;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};

async fn started(guard: &Guard) -> MariadbServer {
    let server = MariadbServer::start_tls(guard).await.expect("a MariaDB");
    let options = Opts::from_url(&server.url().replace("mariadb", "mysql")).expect("an address");
    let mut owner = Conn::new(options).await.expect("it is up");
    let asks = match guard.asks {
        true => "X509",
        false => "SSL",
    };
    let user = format!("CREATE USER secured@'%' IDENTIFIED BY 'secret' REQUIRE {asks}");
    owner.query_drop(user).await.expect("it makes users");
    let rights = owner.query_drop("GRANT ALL ON *.* TO secured@'%'");
    rights.await.expect("it grants rights");
    server
}

async fn tried(server: &MariadbServer, cases: &[Case]) {
    for case in cases {
        let text = format!(
            "[mariadb]\nurl = 'mariadb://secured:secret@{}:{}'\n{}\
             [events]\nurl = 'nats://n'\nstream = 'S'\n",
            case.host,
            server.port(),
            case.keys
        );
        let read = settings("capture.toml", &text, &[]);
        if case.keys.contains("verify-ca") {
            let problems = read.expect_err("this session cannot").to_string();
            assert!(
                problems.contains("write `verify-full` and `tls_name`"),
                "{problems}"
            );
            continue;
        }
        let of_server = read.expect("a good file").server;
        let came = async {
            let mut session = Session::connect(&of_server).await?;
            let log = session.log().await?;
            let file = log.file_of(log.end).expect("it has its end");
            changes(&of_server, file, log.end).await.map(drop)
        };
        judged(case, "MariaDB's protocol", came.await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_to_mariadb_obeys_its_mode_of_tls() {
    every_mode(started, tried).await;
}
