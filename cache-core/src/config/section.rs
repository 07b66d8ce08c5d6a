//! One table of a file that is being read: its place, its tables, and which keys were asked
//! for.

use crate::config::report::{Place, Problem, Report};
use crate::config::shown::{Shown, TableId};
use crate::config::wrong::{LIST_MAX, Wrong, mismatch, suggest, too_many};
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What all tables of one file share.
#[derive(Debug)]
pub(super) struct File<'a> {
    pub(super) text: &'a str,
    pub(super) report: RefCell<Report>,
    pub(super) shown: RefCell<Shown>,
}

/// A table being read.
///
/// A method named `..._or` takes a default for an absent key; after a problem it
/// returns the default too, because [`super::reader::read`] fails at the end in any case. The
/// others return `None` for an absent or a wrong value.
#[derive(Debug)]
pub struct Section<'a> {
    pub(super) file: &'a File<'a>,
    /// How messages name it; empty for the whole file.
    title: String,
    shown: TableId,
    header: Option<Range<usize>>,
    table: Option<&'a DeTable<'a>>,
    asked: Vec<&'static str>,
}

type Value<'a> = &'a Spanned<DeValue<'a>>;

impl<'a> Section<'a> {
    pub(super) fn new(
        file: &'a File<'a>,
        title: String,
        header: Option<Range<usize>>,
        table: Option<&'a DeTable<'a>>,
    ) -> Self {
        Self {
            file,
            shown: file.shown.borrow_mut().open(&title),
            title,
            header,
            table,
            asked: Vec::new(),
        }
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
                self.file.shown.borrow_mut().forget(self.shown, key);
                let title = format!("[{}]", self.path(key));
                parse(&mut Section::new(
                    self.file,
                    title,
                    self.header.clone(),
                    None,
                ))
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
        Some(Place::of(self.file.text, self.header.clone()?).line)
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
        let touched = |span| self.file.report.borrow().touches(&span);
        !self.span(key).is_some_and(touched)
    }

    /// Whether this is the place of what was given from outside.
    fn is_outside(&self, range: &Range<usize>) -> bool {
        range.start > self.file.text.len()
    }

    /// The text of what was given from outside, which stands for whatever is asked for.
    pub(super) fn text_from_outside<'v>(&self, value: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
        let text = value.get_ref().as_str();
        text.filter(|_| self.is_outside(&value.span()))
    }

    fn span(&self, key: &str) -> Option<Range<usize>> {
        Some(self.table?.get(key)?.span())
    }

    pub(super) fn look(&mut self, key: &'static str) -> Option<Value<'a>> {
        let value = self.table.and_then(|table| table.get(key));
        if !self.asked.contains(&key) {
            self.asked.push(key);
            let mut shown = self.file.shown.borrow_mut();
            match value.map(|value| (value.get_ref(), self.is_outside(&value.span()))) {
                // They are shown by themselves.
                Some((DeValue::Table(_), _)) => {}
                Some((DeValue::Array(all), _))
                    if all.iter().any(|one| one.get_ref().is_table()) => {}
                Some((value, false)) => shown.given(self.shown, key, value),
                Some((value, true)) => shown.from_outside(self.shown, key, value),
                None => shown.unset(self.shown, key),
            }
        }
        value
    }

    /// What an absent key is taken for, as TOML writes it.
    pub(super) fn falls_back(&self, key: &'static str, default: impl fmt::Display) {
        let mut shown = self.file.shown.borrow_mut();
        shown.by_default(self.shown, key, default.to_string());
    }

    pub(super) fn require(&mut self, key: &'static str) {
        if self.look(key).is_none() {
            let message = match self.title.as_str() {
                "" => format!("`{key}` is missing"),
                title => format!("`{key}` is missing from {title}"),
            };
            self.report_at(self.header.clone(), message.into());
        }
    }

    pub(super) fn judge<T>(
        &self,
        key: &str,
        value: Value<'_>,
        result: Result<T, Wrong>,
    ) -> Option<T> {
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
        let mut section = Section::new(self.file, title, header, Some(table));
        let parsed = parse(&mut section);
        section.finish();
        parsed
    }

    /// Keys that nobody asked for.
    pub(super) fn finish(&self) {
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
        let outside = range.as_ref().is_some_and(|range| self.is_outside(range));
        let (place, message) = match range {
            Some(_) if outside => (None, format!("{} (given from outside)", wrong.message)),
            range => (
                range.map(|range| Place::of(self.file.text, range)),
                wrong.message,
            ),
        };
        self.file.report.borrow_mut().add(Problem {
            place,
            message,
            hint: wrong.hint,
        });
    }
}
