//! Everything that is wrong with one file, each with its place and a way out.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Range;

/// The most problems that are printed; the rest is counted.
const SHOWN_MAX: usize = 50;

/// Everything that is wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    file: String,
    problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, unless it is something absent from the whole file.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A place in a file, with the text to show for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line up to the end of what is pointed at. What follows is left out: a
    /// password behind a misspelt key does not belong in a log.
    shown: String,
    /// How many characters are underlined.
    width: usize,
    /// The bytes of the file that are pointed at.
    range: Range<usize>,
}

impl Report {
    /// An empty report on `file`, whose name is for people.
    pub fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            problems: Vec::new(),
        }
    }

    /// Adds a problem.
    pub fn add(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems, in the order of the file once it is whole.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether anything is wrong within a byte range of the file.
    pub fn touches(&self, range: &Range<usize>) -> bool {
        let within =
            |place: &Place| range.start <= place.range.start && place.range.end <= range.end;
        self.problems
            .iter()
            .filter_map(|problem| problem.place.as_ref())
            .any(within)
    }

    /// Puts the problems in the order of the file; those without a place go last.
    pub fn sort(&mut self) {
        self.problems.sort_by_key(|problem| match &problem.place {
            Some(place) => (place.line, place.column),
            None => (usize::MAX, 0),
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.problems.iter().take(SHOWN_MAX) {
            problem.write(f, &self.file)?;
        }
        let count = self.problems.len();
        if count > SHOWN_MAX {
            writeln!(f, "... and {} more", count - SHOWN_MAX)?;
        }
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "{count} {noun} in {}", self.file)
    }
}

impl StdError for Report {}

impl Problem {
    fn write(&self, f: &mut fmt::Formatter<'_>, file: &str) -> fmt::Result {
        let Some(place) = &self.place else {
            writeln!(f, "{file}: {}", self.message)?;
            return self.write_hint(f, 1);
        };
        let number = place.line.to_string();
        let margin = number.len() + 1;
        // Tabs are kept in the underline's indent, so that it stays in step.
        let lead = place.shown.chars().take(place.column - 1);
        let lead: String = lead.map(|c| if c == '\t' { c } else { ' ' }).collect();
        writeln!(f, "{file}:{number}:{}: {}", place.column, self.message)?;
        writeln!(f, "{:margin$}|", "")?;
        writeln!(f, "{number} | {}", place.shown)?;
        writeln!(f, "{:margin$}| {lead}{}", "", "^".repeat(place.width))?;
        self.write_hint(f, margin)
    }

    fn write_hint(&self, f: &mut fmt::Formatter<'_>, margin: usize) -> fmt::Result {
        match &self.hint {
            Some(hint) => writeln!(f, "{:margin$}= help: {hint}\n", ""),
            None => writeln!(f),
        }
    }
}

impl Place {
    /// The place of a byte range of `text`. A range over several lines is shown
    /// by its first, one that lies outside by the end of the text.
    pub fn of(text: &str, range: Range<usize>) -> Self {
        let start = floor_char(text, range.start);
        let end = floor_char(text, range.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let shown = text[line_start..end.min(line_end)].trim_end_matches('\r');
        let column = text[line_start..start].chars().count() + 1;
        Self {
            line: text[..start].matches('\n').count() + 1,
            column,
            width: (shown.chars().count() + 1).saturating_sub(column).max(1),
            shown: without_logins(shown, as_wide),
            range,
        }
    }
}

/// Stars in place of the logins in addresses: what `stars` says of each.
///
/// A login may hold anything, quotes, commas and `://` among it. So it ends at the last `@`
/// before the next address, or if there is none, at the next one of all: rather a host too few
/// is shown than a password.
pub fn without_logins(shown: &str, stars: impl Fn(&str) -> String) -> String {
    let mut rest = shown;
    let mut masked = String::with_capacity(shown.len());
    while let Some((before, address)) = rest.split_once("://") {
        let next = address.find("://").unwrap_or(address.len());
        let ends = address[..next].rfind('@').or_else(|| address.find('@'));
        let login = ends.unwrap_or(0);
        masked.push_str(before);
        masked.push_str("://");
        masked.push_str(&stars(&address[..login]));
        rest = &address[login..];
    }
    masked.push_str(rest);
    masked
}

/// As many as there are characters, so that underlines stay in step.
fn as_wide(login: &str) -> String {
    "*".repeat(login.chars().count())
}

fn floor_char(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at)
        .rev()
        .find(|i| text.is_char_boundary(*i))
        .unwrap_or(0)
}

/// The candidate that `word` was probably meant to be.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let far = |candidate: &str| strsim::damerau_levenshtein(word, candidate);
    let best = candidates
        .into_iter()
        .min_by_key(|candidate| far(candidate))?;
    // One slip in three letters: `kyes` is near `keys`, `table` is not near `cache`.
    (far(best) <= (word.chars().count() / 3).max(1)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn logins_in_addresses_are_not_shown() {
        for (line, shown) in [
            (
                "url = \"nats://me:pw@a:1,nats://a:1\"",
                "url = \"nats://*****@a:1,nats://a:1\"",
            ),
            ("urls = ['r://u@a', 's://b']", "urls = ['r://*@a', 's://b']"),
            ("mail = 'me@a'", "mail = 'me@a'"),
        ] {
            assert_eq!(without_logins(line, as_wide), shown);
        }
    }

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["keys", "tags", "on_missing"];
        assert_eq!(nearest("kyes", known), Some("keys"));
        assert_eq!(nearest("on_mising", known), Some("on_missing"));
        assert_eq!(nearest("table", known), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn only_so_many_problems_are_printed() {
        let mut report = Report::new("f");
        for n in 0..SHOWN_MAX + 2 {
            report.add(Problem {
                place: None,
                message: format!("wrong {n}"),
                hint: None,
            });
        }
        let text = report.to_string();
        assert!(
            text.contains("wrong 49") && !text.contains("wrong 50"),
            "{text}"
        );
        assert!(text.ends_with("... and 2 more\n52 problems in f"), "{text}");
    }

    #[test]
    fn tabs_and_wide_characters_keep_the_underline_in_step() {
        let place = Place::of("\tüber = \"x\"\n", 1..6);
        assert_eq!((place.line, place.column, place.width), (1, 2, 4));
        let mut report = Report::new("f");
        report.add(Problem {
            place: Some(place),
            message: "m".into(),
            hint: None,
        });
        let text = report.to_string();
        assert!(text.contains("1 | \tüber\n  | \t^^^^\n"), "{text}");
    }

    proptest! {
        #[test]
        fn any_range_has_a_place(text in ".{0,20}\n?.{0,20}", a in 0usize..60, b in 0usize..60) {
            let place = Place::of(&text, a.min(b)..a.max(b));
            prop_assert!(place.line >= 1 && place.column >= 1 && place.width >= 1);
        }
    }
}
