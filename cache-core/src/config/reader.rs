//! Reads a TOML file key by key and collects everything that is wrong with it.
//!
//! A reader of settings asks for each key with its limits and default. It reads
//! all keys first and puts them together last, so that one wrong key does not hide
//! the next:
//!
//! ```
//! use cache_core::config::reader::{self, Section};
//! use std::time::Duration;
//!
//! struct Source {
//!     stream: String,
//!     ack_wait: Duration,
//! }
//!
//! fn source(section: &mut Section<'_>) -> Option<Source> {
//!     let second = Duration::from_secs(1);
//!     let stream = section.string("stream");
//!     let ack_wait = section.duration_or("ack_wait", second..=600 * second, 30 * second);
//!     Some(Source { stream: stream?, ack_wait })
//! }
//!
//! let text = "[source]\nstraem = 'CDC'\n";
//! let report = reader::read("x.toml", text, |file| file.section("source", source))
//!     .err()
//!     .expect("two mistakes");
//! assert!(report.to_string().contains("did you mean `stream`?"));
//! ```

use crate::config::overrides::{self, Override};
use crate::config::report::{Place, Problem, Report};
use crate::config::units::{Size, Span, parse_bytes, parse_duration};
use crate::config::wrong::{LIST_MAX, Wrong, as_str, mismatch, one_of, outside, suggest, too_many};
use std::cell::RefCell;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The largest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Reads `text`, which people know as `file`, with `parse`.
///
/// # Errors
/// Everything that is wrong with it: all mistakes of syntax, or else all of
/// meaning, in the order of the file.
pub fn read<T>(
    file: &str,
    text: &str,
    parse: impl FnOnce(&mut Section<'_>) -> Option<T>,
) -> Result<T, Report> {
    read_with(file, text, &[], parse)
}

/// The same, with values from outside in place of the file's.
///
/// # Errors
/// As [`read`].
pub fn read_with<T>(
    file: &str,
    text: &str,
    overrides: &[Override],
    parse: impl FnOnce(&mut Section<'_>) -> Option<T>,
) -> Result<T, Report> {
    let mut report = Report::new(file);
    if text.len() > FILE_BYTES_MAX {
        report.add(Problem {
            place: None,
            message: format!("the file is larger than {}", Size(FILE_BYTES_MAX as u64)),
            hint: None,
        });
        return Err(report);
    }
    let (mut table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        report.add(Problem {
            place: error.span().map(|span| Place::of(text, span)),
            message: error.message().to_owned(),
            hint: None,
        });
    }
    // A table recovered from bad syntax lacks keys that are there in the file.
    let mut found = None;
    if report.is_empty() {
        overrides::apply(table.get_mut(), overrides, text.len() + 1);
        let shared = RefCell::new(report);
        let mut section = Section::new(text, &shared, String::new(), None, Some(table.get_ref()));
        found = parse(&mut section);
        section.finish();
        report = shared.into_inner();
    }
    match found {
        Some(found) if report.is_empty() => Ok(found),
        _ => {
            debug_assert!(!report.is_empty(), "a parser gave up without a reason");
            report.sort();
            Err(report)
        }
    }
}

/// A table being read.
///
/// A method named `..._or` takes a default for an absent key; after a problem it
/// returns the default too, because [`read`] fails at the end in any case. The
/// others return `None` for an absent or a wrong value.
#[derive(Debug)]
pub struct Section<'a> {
    text: &'a str,
    report: &'a RefCell<Report>,
    /// How messages name it; empty for the whole file.
    title: String,
    header: Option<Range<usize>>,
    table: Option<&'a DeTable<'a>>,
    asked: Vec<&'static str>,
}

type Value<'a> = &'a Spanned<DeValue<'a>>;

impl<'a> Section<'a> {
    fn new(
        text: &'a str,
        report: &'a RefCell<Report>,
        title: String,
        header: Option<Range<usize>>,
        table: Option<&'a DeTable<'a>>,
    ) -> Self {
        Self {
            text,
            report,
            title,
            header,
            table,
            asked: Vec::new(),
        }
    }

    /// A required string.
    pub fn string(&mut self, key: &'static str) -> Option<String> {
        self.parsed(key, |text| Ok::<_, Wrong>(text.to_owned()))
    }

    /// A string that may be absent.
    pub fn opt_string(&mut self, key: &'static str) -> Option<String> {
        self.opt_parsed(key, |text| Ok::<_, Wrong>(text.to_owned()))
    }

    /// A required string, given to `parse`, whose errors become problems here.
    pub fn parsed<T, E: Into<Wrong>>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.require(key);
        self.opt_parsed(key, parse)
    }

    /// As [`parsed`](Self::parsed), for a key that may be absent.
    pub fn opt_parsed<T, E: Into<Wrong>>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.look(key)?;
        self.judge(
            key,
            value,
            as_str(value).and_then(|text| parse(text).map_err(Into::into)),
        )
    }

    /// `true` or `false`.
    pub fn bool_or(&mut self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.look(key) else {
            return default;
        };
        let flag = match value.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            other => Err(mismatch("true or false", other)),
        };
        self.judge(key, value, flag).unwrap_or(default)
    }

    /// A whole number within `range`.
    pub fn integer_or<T>(&mut self, key: &'static str, range: RangeInclusive<T>, default: T) -> T
    where
        T: TryFrom<i64> + PartialOrd + Copy + fmt::Display,
    {
        let Some(value) = self.look(key) else {
            return default;
        };
        let number = match value.get_ref() {
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .ok()
                .and_then(|wide| T::try_from(wide).ok())
                .filter(|number| range.contains(number))
                .ok_or_else(|| outside(digits, &range, |n| n, default)),
            other => Err(mismatch("a whole number", other)),
        };
        self.judge(key, value, number).unwrap_or(default)
    }

    /// A duration such as `"500ms"` within `range`.
    pub fn duration_or(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let parse = |text: &str| {
            let span = parse_duration(text)?;
            let fits = range.contains(&span).then_some(span);
            fits.ok_or_else(|| outside(Span(span), &range, Span, default))
        };
        self.opt_parsed(key, parse).unwrap_or(default)
    }

    /// A size such as `"64MiB"` within `range`, in bytes.
    pub fn bytes_or(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> u64 {
        let parse = |text: &str| {
            let size = parse_bytes(text)?;
            let fits = range.contains(&size).then_some(size);
            fits.ok_or_else(|| outside(Size(size), &range, Size, default))
        };
        self.opt_parsed(key, parse).unwrap_or(default)
    }

    /// One of a few words, as the value that it stands for.
    pub fn word_or<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)], default: T) -> T {
        self.opt_parsed(key, |text| one_of(text, words))
            .unwrap_or(default)
    }

    /// A list of some of a few words. `None` if absent.
    pub fn words<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<Vec<T>> {
        self.list(key, |text| one_of(text, words))
    }

    /// A list of strings, each given to `parse`. `None` if absent; an element that
    /// is wrong is a problem of its own and is left out.
    pub fn list<T, E: Into<Wrong>>(
        &mut self,
        key: &'static str,
        mut parse: impl FnMut(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let value = self.look(key)?;
        let elements = match value.get_ref() {
            DeValue::Array(elements) if elements.len() > LIST_MAX => Err(too_many()),
            DeValue::Array(elements) => Ok(elements),
            other => Err(mismatch("a list of strings", other)),
        };
        let elements = self.judge(key, value, elements)?;
        let mut all = Vec::with_capacity(elements.len());
        for element in elements {
            let parsed = as_str(element).and_then(|text| parse(text).map_err(Into::into));
            all.extend(self.judge(key, element, parsed));
        }
        Some(all)
    }

    /// A table. An absent one is read as an empty one, so that defaults come from
    /// one place and each required key is named.
    pub fn section<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&mut Section<'_>) -> Option<T>,
    ) -> Option<T> {
        match self.look(key) {
            Some(value) => self.descend(key, value, format!("[{}]", self.path(key)), parse),
            None => {
                let title = format!("[{}]", self.path(key));
                let mut empty =
                    Section::new(self.text, self.report, title, self.header.clone(), None);
                parse(&mut empty)
            }
        }
    }

    /// A table that may be absent.
    pub fn opt_section<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&mut Section<'_>) -> Option<T>,
    ) -> Option<T> {
        let value = self.look(key)?;
        self.descend(key, value, format!("[{}]", self.path(key)), parse)
    }

    /// All tables `[[key]]`, in order; none if absent.
    pub fn sections<T>(
        &mut self,
        key: &'static str,
        mut parse: impl FnMut(&mut Section<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.look(key) else {
            return Vec::new();
        };
        let path = self.path(key);
        let tables = match value.get_ref() {
            DeValue::Array(tables) if tables.len() > LIST_MAX => Err(too_many()),
            DeValue::Array(tables) => Ok(tables),
            other => Err(mismatch(&format!("tables, each under [[{path}]]"), other)),
        };
        let tables = self.judge(key, value, tables).into_iter().flatten();
        tables
            .enumerate()
            .filter_map(|(at, table)| {
                self.descend(key, table, format!("[[{path}]] {}", at + 1), &mut parse)
            })
            .collect()
    }

    /// Whether the file has this key; says nothing about its value.
    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Whether the value of a key is a list; for keys that take a word as well.
    pub fn has_list(&self, key: &str) -> bool {
        let value = self.table.and_then(|table| table.get(key));
        value.is_some_and(|value| value.get_ref().is_array())
    }

    /// Whether the value of a key is a table; for keys that take a word as well.
    pub fn has_table(&self, key: &str) -> bool {
        let value = self.table.and_then(|table| table.get(key));
        value.is_some_and(|value| value.get_ref().is_table())
    }

    /// How messages name this table: `[l2]`, `[[rule]] 2`; empty for the file.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The line that this table's heading is on; `None` for the file itself.
    pub fn line(&self) -> Option<usize> {
        Some(Place::of(self.text, self.header.clone()?).line)
    }

    /// Reports something that is wrong with the value of `key`, or with the whole
    /// table if the key is absent. Left out where the value has a problem already:
    /// one mistake is told once.
    pub fn complain(&self, key: &str, wrong: impl Into<Wrong>) {
        if self.is_sound(key) {
            self.report_at(self.span(key).or_else(|| self.header.clone()), wrong.into());
        }
    }

    /// Whether nothing has been found wrong with the value of `key` so far. True for
    /// an absent key.
    pub fn is_sound(&self, key: &str) -> bool {
        let touched = |span| self.report.borrow().touches(&span);
        !self.span(key).is_some_and(touched)
    }

    fn span(&self, key: &str) -> Option<Range<usize>> {
        Some(self.table?.get(key)?.span())
    }

    fn look(&mut self, key: &'static str) -> Option<Value<'a>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.table?.get(key)
    }

    fn require(&mut self, key: &'static str) {
        if self.look(key).is_none() {
            let message = match self.title.as_str() {
                "" => format!("`{key}` is missing"),
                title => format!("`{key}` is missing from {title}"),
            };
            self.report_at(self.header.clone(), message.into());
        }
    }

    fn judge<T>(&self, key: &str, value: Value<'_>, result: Result<T, Wrong>) -> Option<T> {
        result
            .map_err(|wrong| {
                let message = format!("`{key}`: {}", wrong.message);
                self.report_at(Some(value.span()), Wrong { message, ..wrong });
            })
            .ok()
    }

    fn descend<T>(
        &self,
        key: &str,
        value: Value<'a>,
        title: String,
        parse: impl FnOnce(&mut Section<'_>) -> Option<T>,
    ) -> Option<T> {
        let table = match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            other => Err(mismatch(&format!("a table, as under {title}"), other)),
        };
        let table = self.judge(key, value, table)?;
        let header = Some(value.span());
        let mut section = Section::new(self.text, self.report, title, header, Some(table));
        let parsed = parse(&mut section);
        section.finish();
        parsed
    }

    /// Keys that nobody asked for.
    fn finish(&self) {
        let keys = self.table.into_iter().flat_map(DeTable::keys);
        for key in keys.filter(|key| !self.asked.contains(&key.get_ref().as_ref())) {
            let message = match self.title.as_str() {
                "" => format!("unknown key `{}`", key.get_ref()),
                title => format!("unknown key `{}` in {title}", key.get_ref()),
            };
            let hint = suggest(key.get_ref(), &self.asked);
            let hint = hint.or_else(|| Some(format!("there are {}", self.asked.join(", "))));
            self.report_at(Some(key.span()), Wrong { message, hint });
        }
    }

    fn path(&self, key: &str) -> String {
        match self.title.trim_matches(|c: char| "[]".contains(c)) {
            "" => key.to_owned(),
            // Inside the second [[rule]] the path is rule.key, as TOML writes it.
            outer => format!("{}.{key}", outer.split(']').next().unwrap_or(outer)),
        }
    }

    fn report_at(&self, range: Option<Range<usize>>, wrong: Wrong) {
        let outside = range
            .as_ref()
            .is_some_and(|range| range.start > self.text.len());
        let (place, message) = match range {
            Some(_) if outside => (None, format!("{} (given from outside)", wrong.message)),
            range => (
                range.map(|range| Place::of(self.text, range)),
                wrong.message,
            ),
        };
        self.report.borrow_mut().add(Problem {
            place,
            message,
            hint: wrong.hint,
        });
    }
}

#[cfg(test)]
mod tests;
