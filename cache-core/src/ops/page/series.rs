//! The chosen series as a document: read from the text that Prometheus gets, since histograms
//! can be read nowhere else.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde::Serialize;
use std::collections::BTreeMap;

/// What series are called by, as in `/metrics`; a histogram without the endings of its parts.
pub type Names = [&'static str];

/// The series by name. A name that nothing has yet is not in it.
pub type Series = BTreeMap<&'static str, Family>;

/// All series of one name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Family {
    /// The bounds of a histogram, upwards, without the one beyond all; else none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bounds: Vec<f64>,
    /// The series.
    pub all: Vec<One>,
}

/// One series.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct One {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value; of a histogram, the sum of what was observed.
    pub value: f64,
    /// Of a histogram: how many were at most each bound, and how many there were in all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<f64>,
}

/// Reads those of `wanted` that are there.
pub fn read(registry: &Registry, wanted: &Names) -> Series {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => read_text(&text, wanted),
        Err(_) => Series::new(),
    }
}

fn read_text(text: &str, wanted: &Names) -> Series {
    let mut series = Series::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        // A line that is none of ours has nothing that is looked for.
        let _ = add(&mut series, line, wanted);
    }
    series
}

fn add(series: &mut Series, line: &str, wanted: &Names) -> Option<()> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let is = |base: &str| wanted.iter().find(|known| **known == base).copied();
    let (name, part) = match is(name) {
        Some(name) => (name, ""),
        None => {
            let (base, part) = name.rsplit_once('_')?;
            (is(base)?, part)
        }
    };
    let (mut labels, rest) = labels(rest)?;
    let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
    let family = series.entry(name).or_default();
    match part {
        "" | "sum" => family.of(labels).value = value,
        "bucket" => {
            let bound: f64 = labels.remove("le")?.parse().ok()?;
            let is_beyond = family.bounds.last().is_none_or(|last| bound > *last);
            if bound.is_finite() && is_beyond {
                family.bounds.push(bound);
            }
            family.of(labels).counts.push(value);
        }
        _ => {}
    }
    Some(())
}

impl Family {
    /// The one with these labels. The parts of a histogram stand together.
    fn of(&mut self, labels: BTreeMap<String, String>) -> &mut One {
        if self.all.last().is_none_or(|last| last.labels != labels) {
            self.all.push(One {
                labels,
                ..One::default()
            });
        }
        let at = self.all.len() - 1;
        &mut self.all[at]
    }
}

/// The labels at the beginning of a text, and what comes after them.
fn labels(text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    let Some(mut rest) = text.strip_prefix('{') else {
        return Some((labels, text));
    };
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, after) = unquoted(quoted)?;
        labels.insert(name.to_owned(), value);
        rest = after;
    }
}

/// A value up to its closing quotation mark, and what comes after that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            plain => value.push(plain),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Observer};
    use crate::metrics::Metrics;
    use crate::model::key::Name;

    #[test]
    fn what_a_registry_has_is_read_back() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let cache = metrics.register(&Name::new("users").unwrap());
        metrics.observe(&Event::Coalesced { cache });
        metrics.observe(&Event::Coalesced { cache });
        let wanted = ["cacheaside_coalesced_total", "cacheaside_absent"];
        let series = read(&registry, &wanted);
        let all = &series["cacheaside_coalesced_total"].all;
        assert_eq!((all.len(), all[0].value), (1, 2.0));
        assert_eq!(all[0].labels["cache"], "users");
        assert!(!series.contains_key("cacheaside_absent"));
    }

    #[test]
    fn a_histogram_has_bounds_once_and_counts_for_each_series() {
        let text = "\
# TYPE time histogram
time_sum{cache=\"a\"} 0.5
time_count{cache=\"a\"} 3
time_bucket{le=\"0.001\",cache=\"a\"} 1
time_bucket{le=\"0.002\",cache=\"a\"} 2
time_bucket{le=\"+Inf\",cache=\"a\"} 3
time_sum{cache=\"b\"} 0.0
time_count{cache=\"b\"} 0
time_bucket{le=\"0.001\",cache=\"b\"} 0
time_bucket{le=\"0.002\",cache=\"b\"} 0
time_bucket{le=\"+Inf\",cache=\"b\"} 0
timely_sum 7
# EOF";
        let series = read_text(text, &["time"]);
        let family = &series["time"];
        assert_eq!(family.bounds, [0.001, 0.002]);
        assert_eq!(family.all.len(), 2);
        let first = &family.all[0];
        assert_eq!(
            (first.value, &first.counts[..]),
            (0.5, &[1.0, 2.0, 3.0][..])
        );
        assert_eq!(first.labels["cache"], "a");
        assert!(!first.labels.contains_key("le"));
    }

    #[test]
    fn labels_may_hold_whatever_a_rule_is_called() {
        let rule = r#"a "b\c", {d}"#;
        let text = r#"events_total{rule="a \"b\\c\", {d}",op="u"} 4"#;
        let series = read_text(text, &["events_total"]);
        let one = &series["events_total"].all[0];
        assert_eq!(
            (&one.labels["rule"][..], &one.labels["op"][..]),
            (rule, "u")
        );
        assert_eq!(one.value, 4.0);
    }

    #[test]
    fn a_line_that_is_cut_off_is_left_out() {
        for line in [
            "events_total",
            "events_total{",
            "events_total{a=\"b",
            "events_total{} x",
        ] {
            assert!(read_text(line, &["events_total"]).is_empty(), "{line}");
        }
    }
}
