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
use crate::config::section::File;
use crate::config::shown::Shown;
use crate::config::units::Size;
use std::cell::RefCell;
use toml::de::DeTable;

pub use crate::config::section::Section;

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
    show(file, text, overrides, parse).map(|(found, _)| found)
}

/// The same, and every key as it is in effect.
///
/// # Errors
/// As [`read`].
pub fn show<T>(
    file: &str,
    text: &str,
    overrides: &[Override],
    parse: impl FnOnce(&mut Section<'_>) -> Option<T>,
) -> Result<(T, Shown), Report> {
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
    let mut shown = Shown::default();
    if report.is_empty() {
        for given in overrides::apply(table.get_mut(), overrides, text.len() + 1) {
            let (table, key) = (&given.table, &given.key);
            report.add(Problem {
                place: None,
                message: format!("`{key}` of [{table}] is given from outside, and cannot be"),
                hint: Some(format!(
                    "there may be several [[{table}]]: set it in the file"
                )),
            });
        }
        let file = File {
            text,
            report: RefCell::new(report),
            shown: RefCell::new(shown),
        };
        let mut section = Section::new(&file, String::new(), None, Some(table.get_ref()));
        found = parse(&mut section);
        section.finish();
        (report, shown) = (file.report.into_inner(), file.shown.into_inner());
    }
    match found {
        Some(found) if report.is_empty() => Ok((found, shown)),
        _ => {
            debug_assert!(!report.is_empty(), "a parser gave up without a reason");
            report.sort();
            Err(report)
        }
    }
}

#[cfg(test)]
mod tests;
