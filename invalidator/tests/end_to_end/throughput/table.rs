//! What was measured, and how it is shown.

use std::fmt::Write;

/// One time through all events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) events: u64,
    pub(crate) seconds: f64,
    /// Of the clients, not of the servers.
    pub(crate) cpu_seconds: f64,
    /// The most memory that one process ever had.
    pub(crate) peak_mib: Option<f64>,
}

impl Turn {
    /// Events a second.
    pub(crate) fn rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    fn rate_of_a_core(&self) -> f64 {
        self.events as f64 / self.cpu_seconds.max(0.01)
    }
}

/// All turns of one side.
#[derive(Debug)]
pub(crate) struct Row {
    name: &'static str,
    pub(crate) turns: Vec<Turn>,
}

impl Row {
    pub(crate) fn new(name: &'static str) -> Self {
        let turns = Vec::new();
        Self { name, turns }
    }

    fn sorted(&self, of: impl Fn(&Turn) -> f64) -> Vec<f64> {
        let mut all: Vec<_> = self.turns.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all
    }

    fn median(&self, of: impl Fn(&Turn) -> f64) -> f64 {
        self.sorted(of)[self.turns.len() / 2]
    }
}

/// The rows, with their ratios to two of them: what the stream gives, and what L2 takes.
pub(crate) fn table(rows: &[Row], stream: usize, l2: usize) -> String {
    let mut text = "| | events/s: min | median | max | events per CPU second \
        | of JetStream | of the step of L2 | peak RSS, MiB |\n\
        | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    let [of_stream, of_l2] = [stream, l2].map(|at| rows[at].median(Turn::rate));
    for row in rows {
        let rates = row.sorted(Turn::rate);
        let (least, most) = (rates[0], rates[rates.len() - 1]);
        let median = row.median(Turn::rate);
        let core = row.median(Turn::rate_of_a_core);
        let peaks = row.turns.iter().filter_map(|turn| turn.peak_mib);
        let peak = peaks.reduce(f64::max);
        let peak = peak.map_or_else(String::new, |peak| format!("{peak:.0}"));
        writeln!(
            text,
            "| {} | {least:.0} | {median:.0} | {most:.0} | {core:.0} | {:.2} | {:.2} | {peak} |",
            row.name,
            median / of_stream,
            median / of_l2,
        )
        .expect("a text takes everything");
    }
    text
}
