//! A full stream, an empty L2, and invalidators between them.

use super::batches;
use super::process::{cpu_seconds, peak_mib};
use super::table::Turn;
use crate::reader::Places;
use crate::service::Service;
use crate::world::World;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::stream::Config;
use cache_core::Name;
use cache_core::model::key::{Address, Key, KeySpace};
use cache_core::model::position::Position;
use cache_core::testkit::until::until;
use cache_core::tier::{Record, Remote};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// How many events a second are carried at the very least.
const SLOWEST: u64 = 500;
/// How many keys are looked at after a turn, at most.
const LOOKED_AT_MAX: u64 = 5_000;
/// How many are looked at at once.
const LOOKS: usize = 64;

/// The stream and what is behind it.
pub(crate) struct Field {
    world: World,
    folder: TempDir,
    pub(crate) events: u64,
    pub(crate) remote: Arc<dyn Remote>,
    space: KeySpace,
    /// The turns so far: each has a consumer of its own.
    turns: usize,
}

impl Field {
    /// Starts the servers and fills the stream.
    pub(crate) async fn new(events: u64) -> Self {
        let world = World::start(0).await;
        let name = |text| Name::new(text).expect("a name");
        let field = Self {
            remote: world.remote().await,
            world,
            folder: tempfile::tempdir().expect("a folder"),
            events,
            space: KeySpace::new(name("main"), name("rows")),
            turns: 0,
        };
        field.fill().await;
        field
    }

    /// Publishes the events: event n has the place n, and is about key n alone.
    async fn fill(&self) {
        let stream = self.stream();
        let config = Config {
            name: "CDC".to_owned(),
            subjects: vec!["cdc.>".to_owned()],
            ..Config::default()
        };
        stream.create_stream(config).await.expect("NATS is up");
        for batch in batches(self.events) {
            let mut acks = Vec::new();
            for number in batch {
                let sent = stream.publish("cdc.rows", event(number).into()).await;
                acks.push(sent.expect("NATS is up").into_future());
            }
            for ack in join_all(acks).await {
                ack.expect("the stream takes it");
            }
        }
    }

    pub(crate) fn stream(&self) -> &Context {
        self.world.stream()
    }

    pub(crate) fn places(&self) -> Places {
        self.world.places()
    }

    /// The record of a key.
    pub(crate) fn address(&self, number: u64) -> Address {
        let key = format!("row:{number}");
        self.space.address(Key::new(key.as_bytes()).expect("a key"))
    }

    /// The name of a consumer that nobody had before.
    pub(crate) fn durable(&mut self) -> String {
        self.turns += 1;
        format!("turn-{}", self.turns)
    }

    /// Has so many invalidators carry everything, from the start of the first to the last
    /// acknowledgement, with this among their rules.
    pub(crate) async fn carry(&mut self, count: usize, source: &str) -> Turn {
        self.empty_l2().await;
        assert_eq!(self.refused().await, 0, "L2 knows of no change yet");
        let durable = self.durable();
        let rules = rules(&durable, source);
        let (folder, places) = (self.folder.path(), self.places());
        let began = Instant::now();
        let starting = (0..count).map(|number| Service::start(folder, number, &places, &rules, ""));
        let services = join_all(starting);
        let (services, ()) = tokio::join!(services, self.acknowledged(&durable));
        let seconds = began.elapsed().as_secs_f64();
        let ids = || services.iter().map(Service::id);
        let turn = Turn {
            events: self.events,
            seconds,
            cpu_seconds: ids().map(cpu_seconds).sum(),
            peak_mib: ids().map(peak_mib).reduce(f64::max),
        };
        for service in services {
            service.kill().await;
        }
        assert_eq!(
            self.refused().await,
            self.looked_at().count(),
            "all of them"
        );
        let letters = self.stream().get_stream("CACHEASIDE_DLQ").await;
        let letters = letters.expect("invalidators make it");
        assert_eq!(letters.cached_info().state.messages, 0, "no dead letters");
        self.forget(&durable).await;
        turn
    }

    /// Waits until a consumer's last event is acknowledged.
    pub(crate) async fn acknowledged(&self, durable: &str) {
        let patience = Duration::from_secs(60 + self.events / SLOWEST);
        let stream = self.stream().get_stream("CDC").await.expect("it is there");
        let done = || async {
            // There is none until the first invalidator has made it.
            let consumer: Result<PullConsumer, _> = stream.get_consumer(durable).await;
            consumer.is_ok_and(|consumer| {
                let info = consumer.cached_info();
                info.ack_floor.stream_sequence == self.events && info.num_ack_pending == 0
            })
        };
        let waited = until(patience, "every event is acknowledged", done).await;
        waited.expect("they are");
    }

    /// Removes a consumer.
    pub(crate) async fn forget(&self, durable: &str) {
        let stream = self.stream().get_stream("CDC").await.expect("it is there");
        let deleted = stream.delete_consumer(durable).await;
        deleted.expect("it was there");
    }

    /// Takes everything out of L2.
    pub(crate) async fn empty_l2(&self) {
        for mut primary in super::bare::primaries(&self.places()).await {
            let done: redis::RedisResult<()> = redis::cmd("FLUSHALL")
                .arg("ASYNC")
                .query_async(&mut primary)
                .await;
            done.expect("it is up");
        }
    }

    fn looked_at(&self) -> impl Iterator<Item = u64> {
        let step = self.events.div_ceil(LOOKED_AT_MAX).max(1);
        (1..=self.events).step_by(usize::try_from(step).expect("a few"))
    }

    /// How many of the keys looked at L2 refuses below their change.
    async fn refused(&self) -> usize {
        let looks = self.looked_at().map(|number| async move {
            let reading = self.remote.read(&self.address(number)).await;
            let record = reading.expect("L2 is up").record;
            matches!(record, Some(Record::Mark { floor }) if floor >= Position::new(0, number, 0))
        });
        let looks = stream::iter(looks).buffer_unordered(LOOKS);
        looks
            .filter(|refused| std::future::ready(*refused))
            .count()
            .await
    }
}

fn rules(durable: &str, source: &str) -> String {
    format!(
        "[source]\nstream = 'CDC'\ndurable = '{durable}'\n{source}\n[native]\ncaches = ['rows']\n\
         [[rule]]\ntable = 'public.rows'\ncache = 'rows'\nkeys = ['row:{{id}}']\n"
    )
}

/// An event about one key: every second one is Debezium's, the others name it themselves.
fn event(number: u64) -> String {
    match number.is_multiple_of(2) {
        true => format!(
            r#"{{"payload":{{"before":null,"after":{{"id":{number},"name":"a row","team_id":7}},
            "source":{{"connector":"postgresql","db":"app","schema":"public","table":"rows",
            "lsn":{number},"ts_ms":1700000000000}},"op":"u","ts_ms":1700000000001}}}}"#
        ),
        false => format!(r#"{{"cacheaside":1,"cache":"rows","keys":["row:{number}"]}}"#),
    }
}
