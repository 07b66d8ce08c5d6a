//! What is done to NATS, and to those who carry changes over it.

use super::super::servers::STREAM;
use super::{HOLD, Scene};
use cache_core::testkit::until::pace;

/// What a stream that forgets too early keeps.
const KEEPS: i64 = 10;

impl Scene {
    pub(super) async fn nats_killed(&self) {
        self.servers.nats.kill9();
        pace(HOLD).await;
        let back = self.servers.nats.restart().await;
        back.expect("it comes back");
    }

    pub(super) async fn nats_hangs(&self) {
        self.servers.nats.pause().await.expect("it runs");
        pace(HOLD).await;
        self.servers.nats.resume().await.expect("it hangs");
    }

    /// Events that nobody has read go, while nobody can read.
    pub(super) async fn stream_loses(&self, at_once: bool) {
        let invalidators = self.servers.invalidators.lock().await;
        for invalidator in &*invalidators {
            invalidator.halt().await;
        }
        pace(HOLD).await;
        if at_once {
            let stream = self.servers.stream.get_stream(STREAM).await;
            let stream = stream.expect("the stream is there");
            stream.purge().await.expect("NATS is up");
        } else {
            self.servers.make_stream(KEEPS).await;
            self.servers.make_stream(-1).await;
        }
        for invalidator in &*invalidators {
            invalidator.go_on().await;
        }
    }

    pub(super) async fn invalidator_killed(&self) {
        let mut invalidators = self.servers.invalidators.lock().await;
        invalidators[0].halt().await;
        // NATS goes on giving it events.
        pace(HOLD / 2).await;
        invalidators.remove(0).kill().await;
        drop(invalidators);
        pace(HOLD).await;
        self.servers.start_invalidators(self.book.epoch()).await;
    }
}
