//! What watchers are told.

use crate::on_each_ground;
use crate::world::{Client, World, patient, quick, refusal};
use bytes::Bytes;
use cache_agent::config::Limits;
use cache_agent::feed::KEPT_MAX;
use cache_agent::proto::v1::{self, watch_response as event};
use cache_core::coherence::apply::Tap;
use futures_util::FutureExt;
use std::time::Duration;
use tokio_stream::StreamExt;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

on_each_ground!(
    a_watcher_is_told_of_keys_tags_and_whole_caches,
    a_watcher_goes_on_from_its_cursor,
);

const PATIENCE: Duration = Duration::from_secs(5);

struct Ear(Streaming<v1::WatchResponse>);

impl Ear {
    async fn open(client: &Client, caches: &[&str], cursor: &str) -> Result<Self, Status> {
        let request = v1::WatchRequest {
            caches: caches.iter().map(|name| (*name).to_owned()).collect(),
            cursor: cursor.to_owned(),
        };
        Ok(Self(
            client
                .invalidation
                .clone()
                .watch(request)
                .await?
                .into_inner(),
        ))
    }

    async fn next(&mut self) -> Result<(event::Event, String), Status> {
        let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
        let told = next.expect("something in time").expect("more to come")?;
        Ok((told.event.expect("an event is always set"), told.cursor))
    }

    /// The next invalidations, each as `cache target`, and the cursor after them.
    async fn invalid(&mut self) -> (Vec<String>, String) {
        loop {
            match self.next().await.expect("no error") {
                (event::Event::Invalidations(some), cursor) => {
                    return (some.all.iter().map(shown).collect(), cursor);
                }
                // A bucket that begins is a gap, too.
                (event::Event::Heartbeat(_) | event::Event::Gap(_), _) => {}
            }
        }
    }

    /// Reads until all of these were told.
    async fn until_told(&mut self, expected: &[&str]) -> String {
        let mut missing = expected.to_vec();
        loop {
            let (told, cursor) = self.invalid().await;
            missing.retain(|one| !told.iter().any(|told| told == one));
            if missing.is_empty() {
                return cursor;
            }
        }
    }
}

fn shown(one: &event::Invalidation) -> String {
    assert!(one.position.is_some());
    let target = match one.target.as_ref().expect("a target is always set") {
        event::invalidation::Target::Key(key) => String::from_utf8_lossy(key).into_owned(),
        event::invalidation::Target::Tag(tag) => format!("#{tag}"),
        event::invalidation::Target::WholeCache(_) => "*".to_owned(),
    };
    format!("{} {target}", one.cache)
}

fn of(cache: &str, key: &'static str) -> v1::InvalidateRequest {
    v1::InvalidateRequest {
        cache: cache.to_owned(),
        keys: vec![Bytes::from(key)],
        ..Default::default()
    }
}

async fn a_watcher_is_told_of_keys_tags_and_whole_caches(world: World) {
    let mut all = Ear::open(&world.unix, &[], "").await.expect("a stream");
    let mut some = Ear::open(&world.tcp, &["notes"], "")
        .await
        .expect("a stream");
    let (first, _) = some.next().await.expect("no error");
    let event::Event::Heartbeat(sign) = first else {
        panic!("{first:?}")
    };
    assert!(sign.hears, "the agent hears");
    world
        .tcp
        .invalidate(of("users", "a"))
        .await
        .expect("an answer");
    let request = v1::InvalidateRequest {
        cache: "users".to_owned(),
        tags: vec!["team".to_owned()],
        whole_cache: true,
        ..Default::default()
    };
    world.tcp.invalidate(request).await.expect("an answer");
    world
        .tcp
        .invalidate(of("notes", "b"))
        .await
        .expect("an answer");
    all.until_told(&["users a", "users #team", "users *", "notes b"])
        .await;
    let (told, _) = some.invalid().await;
    assert!(told.iter().all(|one| one == "notes b"), "{told:?}");
}

async fn a_watcher_goes_on_from_its_cursor(world: World) {
    let mut ear = Ear::open(&world.unix, &["users"], "")
        .await
        .expect("a stream");
    world
        .tcp
        .invalidate(of("users", "a"))
        .await
        .expect("an answer");
    let cursor = ear.until_told(&["users a"]).await;
    drop(ear);
    world
        .tcp
        .invalidate(of("users", "b"))
        .await
        .expect("an answer");
    let mut again = Ear::open(&world.tcp, &["users"], &cursor)
        .await
        .expect("a stream");
    again.until_told(&["users b"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_is_none_of_this_agents_begins_with_a_gap() {
    let world = World::embedded().await;
    let other = cache_agent::feed::Feed::new(7).cursor(3);
    let mut ear = Ear::open(&world.unix, &["users"], &other)
        .await
        .expect("a stream");
    let (first, cursor) = ear.next().await.expect("no error");
    let event::Event::Gap(gap) = first else {
        panic!("{first:?}")
    };
    assert_eq!(gap.caches, ["users"]);
    let (second, _) = ear.next().await.expect("no error");
    assert!(
        matches!(second, event::Event::Heartbeat(sign) if sign.hears),
        "copies may be kept again"
    );
    world
        .tcp
        .invalidate(of("users", "a"))
        .await
        .expect("an answer");
    ear.until_told(&["users a"]).await;
    let resumed = Ear::open(&world.unix, &["users"], &cursor).await;
    resumed.expect("a stream").until_told(&["users a"]).await;
    let bad = Ear::open(&world.unix, &[], "yesterday").await.map(|_| ());
    assert_eq!(
        refusal(bad),
        (Code::InvalidArgument, "BAD_CURSOR".to_owned())
    );
    let unknown = Ear::open(&world.unix, &["usres"], "").await.map(|_| ());
    assert_eq!(refusal(unknown).1, "CACHE_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_is_too_slow_is_told_of_a_gap_and_costs_nothing() {
    let world = World::embedded().await;
    let watch = world.app.agent.watch(v1::WatchRequest::default(), None);
    let mut watch = Box::pin(watch.expect("a turn"));
    watch.next().await.expect("its greeting").expect("no error");
    let feed = &world.app.watcher.feed;
    for _ in 0..KEPT_MAX {
        feed.gap("a test");
    }
    let kept = watch
        .next()
        .now_or_never()
        .flatten()
        .expect("it is all kept");
    let kept = kept.expect("no error").event;
    assert!(
        matches!(&kept, Some(event::Event::Gap(gap)) if gap.reason == "a test"),
        "{kept:?}"
    );
    for _ in 0..=KEPT_MAX {
        feed.hears(true);
    }
    let lost = watch.next().now_or_never().flatten().expect("it is told");
    let lost = lost.expect("no error").event;
    let slow = "the watcher was too slow";
    assert!(
        matches!(&lost, Some(event::Event::Gap(gap)) if gap.reason == slow),
        "{lost:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_watch_gives_signs_of_life_and_says_when_nothing_is_heard() {
    let limits = Limits {
        watch_heartbeat: Duration::from_millis(100),
        ..Limits::default()
    };
    let world = World::embedded_with(quick(), limits).await;
    let mut ear = Ear::open(&world.unix, &["users"], "")
        .await
        .expect("a stream");
    for _ in 0..3 {
        let (told, _) = ear.next().await.expect("no error");
        assert!(
            matches!(told, event::Event::Heartbeat(sign) if sign.hears),
            "{told:?}"
        );
    }
    world.app.watcher.feed.hears(false);
    loop {
        let (told, _) = ear.next().await.expect("no error");
        let event::Event::Heartbeat(sign) = told else {
            panic!("{told:?}")
        };
        if !sign.hears {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_are_bounded_and_end_with_the_agent() {
    let limits = Limits {
        streams_max: 2,
        ..Limits::default()
    };
    let world = World::embedded_with(quick(), limits).await;
    let mut ear = Ear::open(&world.unix, &[], "").await.expect("a stream");
    let _second = Ear::open(&world.unix, &[], "").await.expect("a stream");
    let third = Ear::open(&world.unix, &[], "").await.map(|_| ());
    assert_eq!(
        refusal(third),
        (Code::ResourceExhausted, "OVERLOADED".to_owned())
    );
    let request = v1::WatchRequest {
        caches: vec!["users".to_owned(); 257],
        cursor: String::new(),
    };
    let answer = world.tcp.invalidation.clone().watch(patient(request)).await;
    assert_eq!(refusal(answer.map(|_| ())).1, "BATCH_TOO_LARGE");
    world.stop.cancel();
    let end = loop {
        if let Err(status) = ear.next().await {
            break status;
        }
    };
    let details = end.get_error_details();
    assert_eq!(
        details.error_info().expect("an ErrorInfo").reason,
        "SHUTTING_DOWN"
    );
    world.serving.await.expect("no panic").expect("a clean end");
}
