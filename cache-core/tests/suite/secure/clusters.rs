//! A cluster and sentinels with TLS, whatever the nodes call themselves.

use super::{certificates, joined, login, refused, serves, trusting, with_redis};
use cache_core::DomainSettings;
use cache_core::access::Tls;
use cache_core::testkit::certificates::NAME;
use cache_core::testkit::servers::cluster::RedisCluster;
use cache_core::testkit::servers::sentinel::SentinelTrio;
use cache_core::testkit::until::until;
use cache_core::tier::redis::{Deployment, RedisAccess};
use std::time::Duration;

/// What managed clusters announce: names instead of addresses.
const BY_NAME: [(&str, &str); 2] = [
    ("cluster-announce-hostname", "localhost"),
    ("cluster-preferred-endpoint-type", "hostname"),
];

fn at(urls: Vec<String>, tls: Tls) -> DomainSettings {
    let access = RedisAccess {
        tls: Some(tls),
        ..RedisAccess::default()
    };
    with_redis(Deployment::Cluster { urls }, access)
}

#[tokio::test]
async fn a_cluster_with_tls_is_followed_by_address_and_by_name() {
    let certificates = certificates();
    for names in [&[][..], &BY_NAME] {
        let cluster = RedisCluster::start_tls(&certificates.guard(), names).await;
        let cluster = cluster.expect("a cluster speaks TLS");
        let urls = cluster.tls_urls();
        serves(&at(urls[..1].to_vec(), trusting(&certificates))).await;
        let strangers = Tls {
            ca: Some(certificates.strangers_ca()),
            ..Tls::default()
        };
        let why = refused(&at(urls, strangers)).await;
        assert!(why.contains("name its authority in `tls_ca`"), "{why}");
    }
}

#[tokio::test]
async fn nodes_announced_by_address_verify_by_the_name_that_is_given() {
    let certificates = certificates();
    let mut guard = certificates.guard();
    guard.own = certificates.named();
    let cluster = RedisCluster::start_tls(&guard, &[])
        .await
        .expect("a cluster");
    let told = Tls {
        name: Some(NAME.to_owned()),
        ..trusting(&certificates)
    };
    serves(&at(cluster.tls_urls(), told)).await;
    let why = refused(&at(cluster.tls_urls(), trusting(&certificates))).await;
    assert!(why.contains("for another name"), "{why}");
}

#[tokio::test]
async fn sentinels_with_tls_have_a_login_of_their_own() {
    let certificates = certificates();
    let trio = SentinelTrio::start_tls(&certificates.guard()).await;
    let trio = trio.expect("sentinels speak TLS");
    let watcher = ["ACL", "SETUSER", "watch", "on", ">seen", "+@all"];
    trio.command(false, &watcher)
        .await
        .expect("sentinels have users");
    let cache = ["ACL", "SETUSER", "cache", "on", ">kept", "~*", "+@all"];
    trio.command(true, &cache).await.expect("nodes have users");
    let with = |sentinels| {
        let deployment = Deployment::Sentinel {
            urls: trio.tls_urls(),
            service: trio.service_name().to_owned(),
        };
        let access = RedisAccess {
            login: login("cache", "kept"),
            sentinels,
            tls: Some(trusting(&certificates)),
        };
        with_redis(deployment, access)
    };
    let stays = joined(&with(Some(login("watch", "seen")))).await;
    serves(&with(Some(login("watch", "seen")))).await;
    serves(&with(Some(cache_core::access::Login::default()))).await;
    let why = refused(&with(None)).await;
    assert!(
        why.contains("are the user and the password right?"),
        "{why}"
    );

    // The one that follows is let in to as its master was.
    trio.kill_master().await.expect("the master dies");
    let announces = || async { stays.invalidate("user:7").await.unwrap_or(false) };
    let follows = until(Duration::from_secs(30), "the next master serves", announces).await;
    follows.expect("sentinels promote the replica");
}
