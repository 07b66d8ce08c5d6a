//! What a table can be asked for.

use crate::config::overrides;
use crate::config::section::Section;
use crate::config::units::{Size, Span, parse_bytes, parse_duration};
use crate::config::wrong::{LIST_MAX, Wrong, as_str, mismatch, one_of, outside, too_many};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeArray, DeValue};

impl<'a> Section<'a> {
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

    /// As [`parsed`](Self::parsed); an absent one is read as `default`, which has to be
    /// sound. `None` only after a problem.
    pub fn parsed_or<T, E: Into<Wrong>>(
        &mut self,
        key: &'static str,
        default: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match self.look(key) {
            Some(_) => self.opt_parsed(key, parse),
            None => {
                self.falls_back(key, format_args!("\"{default}\""));
                let usual = parse(default).ok();
                debug_assert!(usual.is_some(), "the default of `{key}` is refused");
                usual
            }
        }
    }

    /// `true` or `false`.
    pub fn bool_or(&mut self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.look(key) else {
            self.falls_back(key, default);
            return default;
        };
        let flag = match value.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            other => {
                let text = self.text_from_outside(value);
                let flag = text.and_then(|text| text.parse().ok());
                flag.ok_or_else(|| mismatch("true or false", other))
            }
        };
        self.judge(key, value, flag).unwrap_or(default)
    }

    /// A whole number within `range`.
    pub fn integer_or<T>(&mut self, key: &'static str, range: RangeInclusive<T>, default: T) -> T
    where
        T: TryFrom<i64> + PartialOrd + Copy + fmt::Display,
    {
        let Some(value) = self.look(key) else {
            self.falls_back(key, default);
            return default;
        };
        let fits = |wide: i64| {
            let number = T::try_from(wide).ok();
            number.filter(|number| range.contains(number))
        };
        let number = match value.get_ref() {
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .ok()
                .and_then(fits)
                .ok_or_else(|| outside(digits, &range, |n| n, default)),
            other => match self
                .text_from_outside(value)
                .map(|text| (text, text.parse::<i64>()))
            {
                Some((text, Ok(wide))) => {
                    fits(wide).ok_or_else(|| outside(text, &range, |n| n, default))
                }
                _ => Err(mismatch("a whole number", other)),
            },
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
        self.quantity_or(key, range, default, parse_duration, Span)
    }

    /// A size such as `"64MiB"` within `range`, in bytes.
    pub fn bytes_or(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> u64 {
        self.quantity_or(key, range, default, parse_bytes, Size)
    }

    /// A number with a unit, as `parse` reads it and `show` writes it.
    fn quantity_or<T: PartialOrd + Copy, S: fmt::Display>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<T>,
        default: T,
        parse: fn(&str) -> Result<T, String>,
        show: fn(T) -> S,
    ) -> T {
        if self.look(key).is_none() {
            self.falls_back(key, format_args!("\"{}\"", show(default)));
        }
        let within = |text: &str| {
            let given = parse(text)?;
            let fits = range.contains(&given).then_some(given);
            fits.ok_or_else(|| outside(show(given), &range, show, default))
        };
        self.opt_parsed(key, within).unwrap_or(default)
    }

    /// One of a few words, as the value that it stands for.
    pub fn word_or<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        default: T,
    ) -> T {
        let usual = words.iter().find(|(_, value)| *value == default);
        if let (None, Some((word, _))) = (self.look(key), usual) {
            self.falls_back(key, format_args!("\"{word}\""));
        }
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
        let split: DeArray<'_>;
        let elements = match value.get_ref() {
            DeValue::Array(elements) if elements.len() > LIST_MAX => Err(too_many()),
            DeValue::Array(elements) => Ok(elements),
            other => match self.text_from_outside(value) {
                Some(text) => {
                    let one =
                        |one: &'a str| Spanned::new(value.span(), DeValue::String(one.into()));
                    split = overrides::parts(text).map(one).collect();
                    Ok(&split)
                }
                None => Err(mismatch("a list of strings", other)),
            },
        };
        let elements = self.judge(key, value, elements)?;
        let mut all = Vec::with_capacity(elements.len());
        for element in elements {
            let parsed = as_str(element).and_then(|text| parse(text).map_err(Into::into));
            all.extend(self.judge(key, element, parsed));
        }
        Some(all)
    }
}
