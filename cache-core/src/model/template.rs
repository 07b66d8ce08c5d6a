//! Key templates: how a row, or a call, becomes a key. The application and the
//! invalidator's rules share this one engine, so that they cannot disagree.

use crate::error::{Error, Kind};
use std::borrow::Cow;
use std::fmt;

/// A key template such as `user:{id}` or `user:email:{email|lower}`.
///
/// `{column}` takes the value of a column (rules evaluate it on the old and on
/// the new row), `{old.column}` and `{new.column}` name one of the two, and
/// `{@table}`, `{@schema}` name where the row stands. Filters follow a bar:
/// `lower`, `upper`, `trunc:N` (the first N characters). `{{` and `}}` are
/// literal braces. Values are percent-encoded where they hold `:`, `%` or a
/// control character, so that two different rows never make the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(Field),
}

/// One `{...}` of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Which row it reads.
    pub scope: Scope,
    /// The column, or the name after `@`.
    pub name: String,
    filters: Vec<Filter>,
}

/// Which row a [`Field`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The row at hand: the old one in one evaluation, the new one in another.
    Row,
    /// The old row only.
    Old,
    /// The new row only.
    New,
    /// What the event says about the row: `@table`, `@schema`.
    About,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    Lower,
    Upper,
    Trunc(usize),
}

impl KeyTemplate {
    /// Parses a template.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with the place of the mistake.
    pub fn new(text: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::new(Kind::Invalid, "reading a template", text).hint(why);
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            if brace == "}" {
                return Err(wrong(
                    "a `}` has no `{`; write `}}` for a literal one".into(),
                ));
            }
            let Some(end) = after.find('}') else {
                return Err(wrong("a `{` is never closed".into()));
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Field(Field::parse(&after[..end]).map_err(wrong)?));
            rest = &after[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        if parts.is_empty() {
            return Err(wrong("a template is not empty".into()));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// The fields in order.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(field) => Some(field),
            Part::Literal(_) => None,
        })
    }

    /// Renders with the values that `value_of` knows; the field it does not know
    /// comes back as the error.
    ///
    /// # Errors
    /// The first field without a value.
    pub fn render_with<'t, 'v>(
        &'t self,
        mut value_of: impl FnMut(&'t Field) -> Option<Cow<'v, str>>,
    ) -> Result<String, &'t Field> {
        let mut out = String::with_capacity(self.text.len() + 16);
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Field(field) => {
                    let value = value_of(field).ok_or(field)?;
                    push_encoded(&mut out, &field.filtered(&value));
                }
            }
        }
        Ok(out)
    }

    /// Renders with named values, as applications do.
    ///
    /// ```
    /// use cache_core::KeyTemplate;
    /// let template = KeyTemplate::new("user:{id}")?;
    /// assert_eq!(template.render(&[("id", &7)])?, "user:7");
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Kind::Invalid`] if a field has no value.
    pub fn render(&self, values: &[(&str, &dyn fmt::Display)]) -> Result<String, Error> {
        let value_of = |field: &Field| {
            let found = values.iter().find(|(name, _)| *name == field.name)?;
            Some(Cow::Owned(found.1.to_string()))
        };
        self.render_with(value_of).map_err(|field| {
            Error::new(Kind::Invalid, "rendering a template", self.text.clone())
                .hint(format!("no value was given for `{}`", field.name))
        })
    }

    /// The text it was parsed from.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Field {
    fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = text.split('|');
        let whole = pieces.next().unwrap_or_default().trim();
        let (scope, name) = if let Some(name) = whole.strip_prefix("old.") {
            (Scope::Old, name)
        } else if let Some(name) = whole.strip_prefix("new.") {
            (Scope::New, name)
        } else if let Some(name) = whole.strip_prefix('@') {
            (Scope::About, name)
        } else {
            (Scope::Row, whole)
        };
        if name.is_empty()
            || !name
                .chars()
                .all(|c| c.is_alphanumeric() || "_-.$".contains(c))
        {
            return Err(format!("`{{{text}}}` does not name a column"));
        }
        if scope == Scope::About && !["table", "schema"].contains(&name) {
            return Err(format!(
                "`@{name}` is unknown; there are @table and @schema"
            ));
        }
        Ok(Self {
            scope,
            name: name.to_owned(),
            filters: pieces
                .map(|f| Filter::parse(f.trim()))
                .collect::<Result<_, _>>()?,
        })
    }

    fn filtered<'v>(&self, value: &'v str) -> Cow<'v, str> {
        let mut value = Cow::Borrowed(value);
        for filter in &self.filters {
            value = Cow::Owned(match filter {
                Filter::Lower => value.to_lowercase(),
                Filter::Upper => value.to_uppercase(),
                Filter::Trunc(most) => value.chars().take(*most).collect(),
            });
        }
        value
    }
}

impl Filter {
    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "lower" => Ok(Self::Lower),
            None if text == "upper" => Ok(Self::Upper),
            Some(("trunc", most)) => most
                .parse()
                .ok()
                .filter(|most| *most > 0)
                .map(Self::Trunc)
                .ok_or_else(|| format!("`trunc:{most}` needs a number of characters above 0")),
            _ => Err(format!(
                "no filter `{text}`; there are lower, upper and trunc:N"
            )),
        }
    }
}

fn push_encoded(out: &mut String, value: &str) {
    use fmt::Write;
    for c in value.chars() {
        if c == ':' || c == '%' || c.is_control() {
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, values: &[(&str, &dyn fmt::Display)]) -> Result<String, Error> {
        KeyTemplate::new(template)?.render(values)
    }

    #[test]
    fn literals_fields_filters_and_braces() {
        assert_eq!(render("user:{id}", &[("id", &7)]).unwrap(), "user:7");
        assert_eq!(render("{{x}}{a}", &[("a", &"b")]).unwrap(), "{x}b");
        assert_eq!(
            render("m:{e|lower|trunc:3}", &[("e", &"ABCdef")]).unwrap(),
            "m:abc"
        );
    }

    #[test]
    fn different_rows_never_make_the_same_key() {
        let one = render("k:{a}:{b}", &[("a", &"x:y"), ("b", &"z")]).unwrap();
        let other = render("k:{a}:{b}", &[("a", &"x"), ("b", &"y:z")]).unwrap();
        assert_ne!(one, other);
        assert_eq!(render("{a}", &[("a", &"50%\n")]).unwrap(), "50%25%0A");
    }

    #[test]
    fn mistakes_name_themselves() {
        for (bad, why) in [
            ("", "not empty"),
            ("a{b", "never closed"),
            ("a}b", "has no `{`"),
            ("{}", "does not name a column"),
            ("{a b}", "does not name a column"),
            ("{a|loud}", "no filter `loud`"),
            ("{a|trunc:0}", "above 0"),
            ("{@database}", "@table and @schema"),
        ] {
            let error = KeyTemplate::new(bad).unwrap_err();
            assert!(error.to_string().contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn a_missing_value_is_an_error() {
        let error = render("user:{id}", &[("name", &"x")]).unwrap_err();
        assert!(error.to_string().contains("`id`"), "{error}");
    }
}
