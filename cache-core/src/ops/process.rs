//! What the system knows of this process, as series with the names that every dashboard
//! knows: memory, time, files; and the machine's clock, to be held against others.
//!
//! Read when somebody looks. Where there is no `/proc`, only the clock is told.

use crate::clock::Clock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// Ticks of the system's accounting in a second: the same on every Linux, see proc(5) and
/// `USER_HZ`.
const TICKS: f64 = 100.0;

/// The series of one process.
#[derive(Debug)]
pub struct Process {
    clock: Arc<dyn Clock>,
    root: PathBuf,
}

/// One look at it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Figures {
    cpu_seconds: f64,
    start_seconds: f64,
    resident_bytes: f64,
    virtual_bytes: f64,
    threads: f64,
    open_fds: f64,
    max_fds: f64,
}

/// Registers which build this is, and what the system knows of its process.
pub fn register(registry: &mut Registry, clock: Arc<dyn Clock>, version: &'static str) {
    let build: Gauge = Gauge::default();
    build.set(1);
    let of_version = registry.sub_registry_with_label(("version".into(), version.into()));
    let help = "Always 1; the version is a label";
    of_version.register("cacheaside_build_info", help, build);
    registry.register_collector(Box::new(Process::new(clock)));
}

impl Process {
    /// This process, as told by `/proc`, and the machine's clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::under(clock, "/proc".into())
    }

    /// The same, told by the files of another folder.
    pub fn under(clock: Arc<dyn Clock>, root: PathBuf) -> Self {
        Self { clock, root }
    }

    fn look(&self) -> Option<Figures> {
        let own = self.root.join("self");
        let read = |path: PathBuf| fs::read_to_string(path).ok();
        let stat = read(own.join("stat"))?;
        let status = read(own.join("status"))?;
        // The name of the program may hold spaces and brackets; the numbers follow the last.
        let numbers: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| numbers.get(at)?.parse::<f64>().ok();
        let kib = |name| Some(after(&status, name)?.parse::<f64>().ok()? * 1024.0);
        let booted = read(self.root.join("stat"));
        let booted: f64 = after(&booted?, "btime")?.parse().ok()?;
        let limits = read(own.join("limits"));
        let most = limits.and_then(|text| after(&text, "Max open files")?.parse().ok());
        // The handle that lists them is one of them, and gone when this is told.
        let open = fs::read_dir(own.join("fd")).map_or(0, Iterator::count);
        Some(Figures {
            cpu_seconds: (number(11)? + number(12)?) / TICKS,
            start_seconds: booted + number(19)? / TICKS,
            resident_bytes: kib("VmRSS:")?,
            virtual_bytes: kib("VmSize:")?,
            threads: number(17)?,
            open_fds: open.saturating_sub(1) as f64,
            max_fds: most.unwrap_or(f64::INFINITY),
        })
    }
}

/// The first word after a name at the beginning of a line.
fn after<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: f64| {
            let family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(family)
        };
        let help = "The clock of this machine, in seconds since the epoch";
        let wall = self.clock.wall_ms() as f64 / 1e3;
        gauge("cacheaside_wall_clock_seconds", help, wall)?;
        let Some(figures) = self.look() else {
            return Ok(());
        };
        let of_process = [
            (
                "resident_memory_bytes",
                "Memory in use",
                figures.resident_bytes,
            ),
            (
                "virtual_memory_bytes",
                "Memory set aside",
                figures.virtual_bytes,
            ),
            ("threads", "Threads", figures.threads),
            ("open_fds", "Open files and sockets", figures.open_fds),
            ("max_fds", "How many of them there may be", figures.max_fds),
            (
                "start_time_seconds",
                "When it was started, in seconds since the epoch",
                figures.start_seconds,
            ),
        ];
        for (name, help, value) in of_process {
            gauge(&format!("process_{name}"), help, value)?;
        }
        let help = "Time of processors that it has used, in seconds";
        let counter = MetricType::Counter;
        let family = encoder.encode_descriptor("process_cpu_seconds", help, None, counter)?;
        ConstCounter::new(figures.cpu_seconds).encode(family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::clock::HandClock;

    #[test]
    fn the_systems_files_are_read_also_under_a_strange_name() {
        let root = tempfile::tempdir().expect("a folder");
        let own = root.path().join("self");
        fs::create_dir_all(own.join("fd")).expect("a folder");
        let write = |name: &str, text: &str| {
            fs::write(root.path().join(name), text).expect("a file");
        };
        let stat = "7 (a) b (c)) S 1 2 3 0 -1 0 0 0 0 0 150 50 0 0 20 0 9 0 300 0 0\n";
        write("self/stat", stat);
        write(
            "self/status",
            "Name:\ta\nVmSize:\t  2048 kB\nVmRSS:\t   4 kB\n",
        );
        write(
            "self/limits",
            "Max open files            64      128     files\n",
        );
        write("stat", "cpu 1 2\nbtime 1000\n");
        for name in ["0", "1", "2"] {
            write(&format!("self/fd/{name}"), "");
        }
        let process = Process::under(Arc::new(HandClock::new()), root.path().into());
        let seen = Figures {
            cpu_seconds: 2.0,
            start_seconds: 1003.0,
            resident_bytes: 4096.0,
            virtual_bytes: 2_097_152.0,
            threads: 9.0,
            open_fds: 2.0,
            max_fds: 64.0,
        };
        assert_eq!(process.look(), Some(seen));
        fs::remove_file(own.join("status")).expect("a file");
        assert_eq!(process.look(), None);
    }
}
