//! What the program tells the service manager that started it.

use crate::desk::Desk;
use crate::world::{RULES, World};
use cache_core::testkit::manager::FakeManager;
use cache_core::testkit::until::until;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

const WITHIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_manager_hears_of_a_life_and_of_a_nats_that_is_away() {
    let (world, manager) = (World::start().await, FakeManager::new());
    let manager = manager.expect("a socket");
    let desk = Desk::new(&world, RULES);
    let files = ["--config", "service.toml", "--rules", "rules.toml"];
    let mut child = desk
        .command(&[&["serve"], &files[..]].concat())
        .env("NOTIFY_SOCKET", manager.path())
        .env("WATCHDOG_USEC", "400000")
        .stderr(Stdio::null())
        .spawn()
        .expect("the program runs");
    manager.hears("READY=1", WITHIN).await.unwrap();
    manager.hears("STATUS=ready", WITHIN).await.unwrap();
    world.nats.kill9();
    let away = || async {
        let told = manager.told();
        told.last_of("STATUS=").is_some_and(|status| {
            ["STATUS=NATS is away", "STATUS=the stream does not answer"].contains(&status)
        })
    };
    until(WITHIN, "it says what is away", away).await.unwrap();
    let signs = || {
        manager
            .told()
            .iter()
            .filter(|it| *it == "WATCHDOG=1")
            .count()
    };
    let before = signs();
    let lives = || async { signs() > before + 3 };
    until(WITHIN, "it lives all the same", lives).await.unwrap();
    world.nats.restart().await.expect("NATS is there");
    let back = || async { manager.told().last_of("STATUS=") == Some("STATUS=ready") };
    until(WITHIN, "it is ready again", back).await.unwrap();
    let id = child.id().expect("it runs").to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status().await;
    assert!(sent.expect("kill runs").success());
    assert_eq!(child.wait().await.expect("it ended").code(), Some(0));
    assert!(manager.heard("STOPPING=1"));
    let extends = |told: &String| told.contains("EXTEND_TIMEOUT_USEC=");
    assert!(manager.told().iter().any(extends));
}

trait Last {
    fn last_of(&self, start: &str) -> Option<&str>;
}

impl Last for Vec<String> {
    /// The last message that begins so.
    fn last_of(&self, start: &str) -> Option<&str> {
        let mut newest = self.iter().rev();
        newest.find(|it| it.starts_with(start)).map(String::as_str)
    }
}
