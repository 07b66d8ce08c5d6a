//! A look at a process's series, as Prometheus takes it, to be asked questions.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};

/// Labels of one series, or of those that are asked for.
pub type LabelSet = BTreeMap<String, String>;

/// All series of one look.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    samples: Vec<(String, LabelSet, f64)>,
    /// What kind each family is of, by its name.
    kinds: BTreeMap<String, String>,
}

impl Scrape {
    /// The series of a registry.
    pub fn of(registry: &Registry) -> Self {
        let mut text = String::new();
        encode(&mut text, registry).expect("series can be written");
        Self::read(&text)
    }

    /// What a `/metrics` page says, in the form of OpenMetrics or of Prometheus.
    pub fn read(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines() {
            if let Some(said) = line.strip_prefix("# TYPE ") {
                let (name, kind) = said.split_once(' ').expect("a name and a kind");
                scrape.kinds.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') && !line.is_empty() {
                scrape.samples.push(sample(line));
            }
        }
        scrape
    }

    /// The sum of all series of a name that have these labels, and maybe others.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let is_meant = |has: &LabelSet| {
            labels
                .iter()
                .all(|(key, value)| has.get(*key).is_some_and(|is| is == value))
        };
        let of_name = self.samples.iter().filter(|(is, ..)| is == name);
        of_name
            .filter(|(_, labels, _)| is_meant(labels))
            .map(|(.., value)| value)
            .sum()
    }

    /// The values that a label has in the series of a name.
    pub fn values_of(&self, name: &str, label: &str) -> BTreeSet<String> {
        let of_name = self.samples.iter().filter(|(is, ..)| is == name);
        of_name
            .filter_map(|(_, labels, _)| labels.get(label).cloned())
            .collect()
    }

    /// Each family's name and kind.
    pub fn kinds(&self) -> &BTreeMap<String, String> {
        &self.kinds
    }

    /// The names of labels that a family's series have, without those of buckets.
    pub fn labels_of(&self, family: &str) -> BTreeSet<String> {
        let suffixes = ["", "_total", "_bucket", "_sum", "_count"];
        let is_of = |name: &str| {
            suffixes
                .iter()
                .any(|suffix| name.strip_suffix(suffix) == Some(family))
        };
        let of_family = self.samples.iter().filter(|(name, ..)| is_of(name));
        of_family
            .flat_map(|(_, labels, _)| labels.keys().cloned())
            .filter(|label| label != "le")
            .collect()
    }
}

/// Reads `name{label="value",...} 1.5`.
fn sample(line: &str) -> (String, LabelSet, f64) {
    let (series, value) = line.rsplit_once(' ').expect("a series and its value");
    let value = value.parse().expect("a number");
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let mut rest = labels;
    let mut all = LabelSet::new();
    while let Some((label, after)) = rest.split_once("=\"") {
        let (value, after) = quoted(after);
        all.insert(label.trim_start_matches(',').to_owned(), value);
        rest = after;
    }
    (name.to_owned(), all, value)
}

/// A text up to its closing quote, and what follows it.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, other)) => value.push(other),
                None => break,
            },
            other => value.push(other),
        }
    }
    panic!("no end of a quoted text: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_read_with_their_labels_and_summed() {
        let text = "# HELP a_total What.\n# TYPE a counter\na_total{x=\"1\",y=\"q\\\"}\"} 2\n\
                    a_total{x=\"2\",y=\"\"} 3\n# TYPE b histogram\nb_bucket{le=\"+Inf\",z=\"c d\"} 4\n\
                    b_count{z=\"c d\"} 4\nplain 1e3\n# EOF\n";
        let scrape = Scrape::read(text);
        assert_eq!(scrape.sum("a_total", &[]), 5.0);
        assert_eq!(scrape.sum("a_total", &[("y", "q\"}")]), 2.0);
        assert_eq!(scrape.sum("plain", &[]), 1000.0);
        assert_eq!(scrape.sum("plain", &[("x", "1")]), 0.0);
        assert_eq!(scrape.labels_of("b"), BTreeSet::from(["z".to_owned()]));
        assert_eq!(scrape.kinds()["a"], "counter");
        let values = scrape.values_of("a_total", "x");
        assert_eq!(values.into_iter().collect::<Vec<_>>(), ["1", "2"]);
    }
}
