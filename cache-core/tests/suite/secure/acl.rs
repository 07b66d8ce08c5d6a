//! The rights that the manual says Redis must grant: enough, and none to spare.

use super::{login, refused, serves, with_redis};
use cache_core::DomainSettings;
use cache_core::testkit::servers::cluster::RedisCluster;
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::testkit::servers::sentinel::SentinelTrio;
use cache_core::tier::redis::{Deployment, RedisAccess};

/// The line of the manual that begins with `user <name>`, as words for `ACL SETUSER`.
pub(crate) fn rights(name: &str) -> Vec<&'static str> {
    let manual = include_str!("../../../docs/security.md");
    let begin = format!("user {name} ");
    let line = manual.lines().find_map(|line| line.strip_prefix(&*begin));
    let words = line.expect("the manual has it").split_whitespace();
    words.collect()
}

fn set_user<'a>(name: &'a str, rights: &[&'a str]) -> Vec<&'a str> {
    [&["ACL", "SETUSER", name, "reset"], rights].concat()
}

fn at(deployment: Deployment, password: &str) -> DomainSettings {
    let access = RedisAccess {
        login: login("cacheaside", password),
        sentinels: Some(login("cacheaside-watch", password)),
        tls: None,
    };
    with_redis(deployment, access)
}

#[tokio::test]
async fn the_rights_in_the_manual_are_enough_and_each_of_them_is_needed() {
    let server = RedisServer::start().await.expect("redis-server starts");
    let rights = rights("cacheaside");
    let single = || Deployment::Single { url: server.url() };
    let set = async |rights: Vec<&'static str>| {
        let user = set_user("cacheaside", &rights);
        server.command::<()>(&user).await.expect("it is a right");
        server
            .command::<()>(&["SCRIPT", "FLUSH"])
            .await
            .expect("it forgets scripts");
    };
    set(rights.clone()).await;
    serves(&at(single(), "change-me")).await;
    let why = refused(&at(single(), "wrong")).await;
    assert!(
        why.contains("are the user and the password right?"),
        "{why}"
    );

    // A cluster's are needed in a cluster.
    let spare = |right: &&&str| !["+cluster|slots", "+asking"].contains(*right);
    let needed = rights
        .iter()
        .filter(|right| right.starts_with('+'))
        .filter(spare);
    for missing in needed {
        set(rights
            .iter()
            .filter(|right| *right != missing)
            .copied()
            .collect())
        .await;
        let settings = at(single(), "change-me");
        let served = tokio::spawn(async move { serves(&settings).await });
        assert!(served.await.is_err(), "{missing} is not needed");
    }
    set(rights).await;
    let other = DomainSettings {
        name: cache_core::Name::new("other").expect("a name"),
        ..at(single(), "change-me")
    };
    let served = tokio::spawn(async move { serves(&other).await });
    assert!(served.await.is_err(), "keys of another domain are open");
}

#[tokio::test]
async fn the_rights_in_the_manual_are_enough_for_a_cluster_and_for_sentinels() {
    let cluster = RedisCluster::start().await.expect("a cluster starts");
    for port in cluster.ports() {
        let user = set_user("cacheaside", &rights("cacheaside"));
        cluster
            .command::<()>(port, &user)
            .await
            .expect("it makes users");
    }
    let urls = cluster.urls();
    serves(&at(Deployment::Cluster { urls }, "change-me")).await;

    let trio = SentinelTrio::start().await.expect("sentinels start");
    let user = set_user("cacheaside", &rights("cacheaside"));
    trio.command(true, &user).await.expect("nodes have users");
    let watch = set_user("cacheaside-watch", &rights("cacheaside-watch"));
    trio.command(false, &watch)
        .await
        .expect("sentinels have users");
    let sentinels = || Deployment::Sentinel {
        urls: trio.sentinel_urls(),
        service: trio.service_name().to_owned(),
    };
    serves(&at(sentinels(), "change-me")).await;
}
