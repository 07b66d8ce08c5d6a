//! From a change to the keys and tags that it makes invalid: pure, so that
//! `explain` shows exactly what `serve` does.

use crate::change::{Cell, Doubt, Op, Row, RowChange, TableName};
use crate::rules::{ALL, OnMissing, OnTruncate, Rule, Rules, columns};
use cache_core::KeyTemplate;
use cache_core::model::key::{Key, Name};
use cache_core::model::tag::Tag;
use cache_core::model::template::{Field, Scope};
use cache_core::wire::invalidation::Target;
use std::borrow::Cow;
use std::fmt;

/// What one rule makes of a change.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The rule's place in its file, from 0.
    pub rule: usize,
    /// What it came to.
    pub outcome: Outcome,
    /// What is invalid, each once.
    pub targets: Vec<Target>,
}

/// What a rule came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its keys and tags.
    Mapped,
    /// The rule does not care for this change; why.
    Ignored(&'static str),
    /// A template misses a value; its rule says what then.
    Missing(Missing, OnMissing),
}

/// The value that a template misses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The template.
    pub template: String,
    /// The column.
    pub column: String,
    /// The image of the row that lacks it.
    pub image: Image,
    /// What is there instead.
    pub instead: Instead,
}

/// One of the two images of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// The row before the change.
    Old,
    /// The row after it.
    New,
}

/// What stands in the place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// The whole image is left out.
    NoRow,
    /// The column is left out.
    NoColumn,
    /// The source left out an unchanged value, and the old row lacks it too.
    Unchanged,
    /// NULL, in a required column.
    Null,
    /// A null, which in this format may stand for a value that is left out.
    Doubtful,
    /// An object or a list.
    Compound,
}

/// Asks every rule about a table what a change of it makes invalid. No verdict
/// says that no rule is about this table.
pub fn map(change: &RowChange, rules: &Rules) -> Vec<Verdict> {
    let about = rules.about(&change.table);
    about
        .map(|(place, rule)| judge(change, place, rule))
        .collect()
}

/// Everything in `caches`: the widest that can be said.
pub fn everything(caches: impl IntoIterator<Item = Name>) -> Vec<Target> {
    caches.into_iter().map(|cache| all_of(&cache)).collect()
}

fn judge(change: &RowChange, place: usize, rule: &Rule) -> Verdict {
    let verdict = |outcome, targets| Verdict {
        rule: place,
        outcome,
        targets,
    };
    if change.op == Op::Truncate {
        return match &rule.on_truncate {
            OnTruncate::Flush => verdict(Outcome::Mapped, vec![all_of(&rule.cache)]),
            OnTruncate::Ignore => verdict(Outcome::Ignored("truncates are ignored"), vec![]),
            OnTruncate::Tags(tags) => verdict(Outcome::Mapped, of_table(change, rule, tags)),
        };
    }
    if !rule.on.contains(&change.op) {
        return verdict(Outcome::Ignored("`on` leaves this out"), vec![]);
    }
    if leaves_columns_alone(change, rule) {
        return verdict(Outcome::Ignored("nothing in `update_of` changed"), vec![]);
    }
    let mut found = Found {
        change,
        rule,
        targets: Vec::new(),
        missing: None,
    };
    for template in &rule.keys {
        found.evaluate(template, |text| key_target(&rule.cache, &text));
    }
    for template in &rule.tags {
        found.evaluate(template, |text| tag_target(&rule.cache, template, &text));
    }
    match found.missing.take() {
        None => verdict(Outcome::Mapped, found.targets),
        Some(missing) => {
            let wide = match &rule.on_missing {
                OnMissing::Error | OnMissing::Flush => true,
                OnMissing::FlushTag(tag) => !found.flush_tag(tag),
                OnMissing::Skip => false,
            };
            if wide {
                push(&mut found.targets, all_of(&rule.cache));
            }
            let outcome = Outcome::Missing(missing, rule.on_missing.clone());
            verdict(outcome, found.targets)
        }
    }
}

/// What a truncate makes invalid, of the tags that every row has.
fn of_table(change: &RowChange, rule: &Rule, tags: &[KeyTemplate]) -> Vec<Target> {
    let target = |tag: &KeyTemplate| {
        let text = tag.render_with(|field| Some(about(&change.table, &field.name)));
        tag_target(&rule.cache, tag, &text.ok()?)
    };
    // A tag beyond its limits is nobody's, and its table's rows have none then.
    let targets = tags
        .iter()
        .map(|tag| target(tag).unwrap_or_else(|| all_of(&rule.cache)));
    targets.collect()
}

/// Whether an update surely changed none of the columns that the rule cares for.
fn leaves_columns_alone(change: &RowChange, rule: &Rule) -> bool {
    match (change.op, &change.old, &change.new) {
        (Op::Update, Some(old), Some(new))
            if !rule.update_of.is_empty() && !is_blank_beyond_identity(old, rule) =>
        {
            rule.update_of
                .iter()
                .all(|column| new.keeps(old, column) == Some(true))
        }
        _ => false,
    }
}

/// What has been found by one rule so far.
struct Found<'e> {
    change: &'e RowChange,
    rule: &'e Rule,
    targets: Vec<Target>,
    /// The first miss; one is enough for a decision and for people.
    missing: Option<Missing>,
}

impl Found<'_> {
    /// Fills a template from the old and from the new row.
    fn evaluate(&mut self, template: &KeyTemplate, target: impl Fn(String) -> Option<Target>) {
        for image in self.images() {
            match self.render(template, *image) {
                Ok(Some(text)) => {
                    // Text beyond the limits of a key or tag is left out: the same
                    // limits kept every reader from caching anything under it.
                    if let Some(target) = target(text) {
                        push(&mut self.targets, target);
                    }
                }
                Ok(None) => {}
                Err(missing) => {
                    self.missing.get_or_insert(missing);
                }
            }
        }
    }

    /// The images that this kind of change has.
    fn images(&self) -> &'static [Image] {
        match self.change.op {
            Op::Insert | Op::Read => &[Image::New],
            Op::Update => &[Image::Old, Image::New],
            Op::Delete => &[Image::Old],
            Op::Truncate => &[],
        }
    }

    /// Names the tag that stands for all that a missing value may have named. False if it
    /// does not: a row without this tag may be what is cached.
    fn flush_tag(&mut self, tag: &KeyTemplate) -> bool {
        let mut tags = Vec::new();
        for image in self.images() {
            if *image == Image::Old && self.old_key_is_the_new_one(tag) {
                continue;
            }
            let text = self.render(tag, *image).ok().flatten();
            match text.and_then(|text| tag_target(&self.rule.cache, tag, &text)) {
                Some(tag) => tags.push(tag),
                None => return false,
            }
        }
        let some = !tags.is_empty();
        tags.into_iter()
            .for_each(|tag| push(&mut self.targets, tag));
        some
    }

    /// The text of a template for one image; `None` if it has none because of a
    /// NULL, or because the image adds nothing.
    fn render(&self, template: &KeyTemplate, image: Image) -> Result<Option<String>, Missing> {
        if image == Image::Old && self.old_key_is_the_new_one(template) {
            return Ok(None);
        }
        let mut stop = None;
        let rendered = template.render_with(|field| match self.value(template, field, image) {
            Ok(value) => value,
            Err(missing) => {
                stop = Some(missing);
                None
            }
        });
        match stop {
            Some(missing) => Err(missing),
            None => Ok(rendered.ok()),
        }
    }

    /// An update without an old row did not change the replica identity, so a
    /// template of those columns alone has the same text for both images.
    fn old_key_is_the_new_one(&self, template: &KeyTemplate) -> bool {
        let identity = &self.rule.identity;
        self.change.op == Op::Update
            && self.change.old.is_none()
            && columns(template).all(|column| identity.iter().any(|name| name == column))
    }

    fn value<'s>(
        &'s self,
        template: &KeyTemplate,
        field: &Field,
        image: Image,
    ) -> Result<Option<Cow<'s, str>>, Missing> {
        let image = match field.scope {
            Scope::About => return Ok(Some(about(&self.change.table, &field.name))),
            Scope::Row => image,
            Scope::Old => Image::Old,
            Scope::New => Image::New,
        };
        let instead = match self.cell(image, &field.name) {
            // `{old.x}` of an insert: there is nothing that could be missing.
            None => return Ok(None),
            Some(Ok(Cell::Text(text))) => return Ok(Some(text)),
            Some(Ok(Cell::Null)) if !self.rule.required.contains(&field.name) => return Ok(None),
            Some(Ok(Cell::Null)) => Instead::Null,
            Some(Ok(Cell::Doubtful)) => Instead::Doubtful,
            Some(Ok(Cell::Unchanged)) => Instead::Unchanged,
            Some(Ok(Cell::Absent)) => Instead::NoColumn,
            Some(Ok(Cell::Compound)) => Instead::Compound,
            Some(Err(instead)) => instead,
        };
        Err(Missing {
            template: template.as_str().to_owned(),
            column: field.name.clone(),
            image,
            instead,
        })
    }

    /// What an image knows of a column; `None` if this kind of change has no such
    /// image.
    fn cell(&self, image: Image, column: &str) -> Option<Result<Cell<'_>, Instead>> {
        let change = self.change;
        let (row, other): (&Option<Row>, _) = match (image, change.op) {
            (Image::Old, Op::Insert | Op::Read) | (Image::New, Op::Delete) => return None,
            (Image::Old, _) => (&change.old, None),
            // What did not change may be read from the old row.
            (Image::New, _) => (&change.new, change.old.as_ref()),
        };
        let Some(row) = row else {
            return Some(Err(Instead::NoRow));
        };
        Some(Ok(match (self.known(row, column), other) {
            (unsure @ (Cell::Unchanged | Cell::Doubtful), Some(other)) => {
                match self.known(other, column) {
                    Cell::Absent => unsure,
                    cell => cell,
                }
            }
            (cell, _) => cell,
        }))
    }

    /// What is known of a column, once the rest of the row has told whether it is whole.
    fn known<'r>(&self, row: &'r Row, column: &str) -> Cell<'r> {
        let rule = self.rule;
        let of_identity = rule.identity.iter().any(|name| name == column);
        match (row.cell(column), row.doubt()) {
            // Only a told identity proves that: a guess may be too narrow.
            (Cell::Doubtful, _) if rule.identity_is_told && reaches_beyond(row, rule) => Cell::Null,
            (Cell::Text(_) | Cell::Null | Cell::Compound, Doubt::Blanks)
                if !of_identity && is_blank_beyond_identity(row, rule) =>
            {
                Cell::Doubtful
            }
            (cell, _) => cell,
        }
    }
}

/// Whether a row has a value outside the replica identity. A source that leaves out all
/// else has none there.
fn reaches_beyond(row: &Row, rule: &Rule) -> bool {
    match rule.identity.is_empty() {
        // Nothing is known of it; most are of one column.
        true => row.values().count() > 1,
        false => row
            .values()
            .any(|column| !rule.identity.iter().any(|name| name == column)),
    }
}

/// Whether zero and empty values of a row may stand for what is left out.
fn is_blank_beyond_identity(row: &Row, rule: &Rule) -> bool {
    row.doubt() == Doubt::Blanks && !reaches_beyond(row, rule)
}

fn about<'t>(table: &'t TableName, name: &str) -> Cow<'t, str> {
    Cow::Borrowed(match name {
        "schema" => &table.schema,
        _ => &table.table,
    })
}

fn push(targets: &mut Vec<Target>, target: Target) {
    if !targets.contains(&target) {
        targets.push(target);
    }
}

fn key_target(cache: &Name, text: &str) -> Option<Target> {
    let key = Key::new(text.as_bytes()).ok()?;
    Some(Target::Key {
        cache: cache.clone(),
        key: key.bytes().into(),
    })
}

fn tag_target(cache: &Name, template: &KeyTemplate, text: &str) -> Option<Target> {
    // Only the rule may clear a cache, not a row that happens to hold a star.
    if template.as_str() == ALL {
        return Some(all_of(cache));
    }
    Some(Target::Tag {
        cache: cache.clone(),
        tag: Tag::new(text).ok()?,
    })
}

fn all_of(cache: &Name) -> Target {
    Target::Tag {
        cache: cache.clone(),
        tag: Tag::all(),
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            template, column, ..
        } = self;
        let image = match self.image {
            Image::Old => "old",
            Image::New => "new",
        };
        write!(
            f,
            "the template `{template}` needs the {image} value of `{column}`, but "
        )?;
        match self.instead {
            Instead::NoRow => write!(f, "the event has no {image} row")?,
            Instead::NoColumn => write!(f, "the event's {image} row leaves it out")?,
            Instead::Unchanged => write!(f, "the event leaves it out as unchanged")?,
            Instead::Null => write!(f, "it is NULL and `required`")?,
            Instead::Doubtful => write!(
                f,
                "it is null or blank, which may stand for a value left out, unless the rule \
                 tells its `identity`"
            )?,
            Instead::Compound => write!(f, "it is an object or a list")?,
        }
        match (self.image, self.instead) {
            (Image::Old, Instead::NoRow | Instead::NoColumn)
            | (_, Instead::Unchanged | Instead::Doubtful) => {
                f.write_str(" (with PostgreSQL: ALTER TABLE ... REPLICA IDENTITY FULL)")
            }
            _ => Ok(()),
        }
    }
}
