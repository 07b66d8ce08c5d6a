//! What can be wrong with one value, in the words that people read.

use crate::config::report::nearest;
use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use toml::Spanned;
use toml::de::DeValue;

/// The most elements of one list and the most tables of one name.
pub const LIST_MAX: usize = 1024;

/// What is wrong with one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong, without its place.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

// === impl Wrong ===

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self {
            message,
            hint: None,
        }
    }
}

impl From<crate::error::Error> for Wrong {
    fn from(error: crate::error::Error) -> Self {
        error.to_string().into()
    }
}

/// The text of a string.
///
/// # Errors
/// What stands there instead.
pub fn as_str<'a>(value: &'a Spanned<DeValue<'a>>) -> Result<&'a str, Wrong> {
    match value.get_ref() {
        DeValue::String(text) => Ok(Cow::as_ref(text)),
        other => Err(mismatch("a string", other)),
    }
}

/// The value of one of a few words.
///
/// # Errors
/// The words there are, and the nearest.
pub fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Wrong> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    Err(Wrong {
        message: format!("`{text}` is not one of {}", words.join(", ")),
        hint: suggest(text, &words),
    })
}

/// The question whether another word was meant.
pub fn suggest(word: &str, known: &[&str]) -> Option<String> {
    nearest(word, known.iter().copied()).map(|near| format!("did you mean `{near}`?"))
}

/// A value of another kind than expected.
pub fn mismatch(expected: &str, found: &DeValue<'_>) -> Wrong {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    format!("must be {expected}, not {found}").into()
}

/// A value outside its range; how values are shown is up to `show`.
pub fn outside<T: Copy, S: fmt::Display>(
    given: impl fmt::Display,
    range: &RangeInclusive<T>,
    show: impl Fn(T) -> S,
    default: T,
) -> Wrong {
    let (least, most) = (show(*range.start()), show(*range.end()));
    Wrong {
        message: format!("{given} is out of range"),
        hint: Some(format!(
            "it goes from {least} to {most}; the default is {}",
            show(default)
        )),
    }
}

/// A list above its limit.
pub fn too_many() -> Wrong {
    format!("has more than {LIST_MAX} elements").into()
}
