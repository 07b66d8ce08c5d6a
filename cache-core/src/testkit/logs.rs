//! What is logged as an error, a warning or information, for tests to read.

use parking_lot::Mutex;
use std::fmt::{self, Write};
use std::sync::Arc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

/// What this thread logs from here on, down to information, until it is dropped. For tests whose
/// runtime has one thread.
#[derive(Debug)]
pub struct Logs {
    lines: Arc<Mutex<Vec<(Level, String)>>>,
    _guard: DefaultGuard,
}

impl Logs {
    /// Listens.
    pub fn listen() -> Self {
        let lines = Arc::<Mutex<Vec<_>>>::default();
        let ear = Ear(lines.clone());
        Self {
            lines,
            _guard: tracing::subscriber::set_default(ear),
        }
    }

    /// What was logged, one line an error: ` field=value` for each field, the message
    /// among them.
    pub fn errors(&self) -> Vec<String> {
        self.of(Level::ERROR)
    }

    /// What was logged as a warning, in the same way.
    pub fn warnings(&self) -> Vec<String> {
        self.of(Level::WARN)
    }

    /// What was logged as information, in the same way.
    pub fn infos(&self) -> Vec<String> {
        self.of(Level::INFO)
    }

    fn of(&self, level: Level) -> Vec<String> {
        let lines = self.lines.lock();
        let of_level = lines.iter().filter(|(of, _)| *of == level);
        of_level.map(|(_, line)| line.clone()).collect()
    }
}

struct Ear(Arc<Mutex<Vec<(Level, String)>>>);

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.lock().push((*event.metadata().level(), line.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}
