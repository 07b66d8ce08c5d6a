//! The rules: which keys and tags of which cache depend on which table.
//!
//! ```toml
//! [[rule]]
//! table = "public.users"                       # [database.]schema.table, * within a part
//! cache = "users"
//! keys = ["user:{id}", "user:email:{email}"]   # filled from the old and from the new row
//! tags = ["team:{team_id}"]                    # the same; "*" clears the cache
//! on = ["insert", "update", "delete"]          # the default; "read" takes snapshots too
//! update_of = ["email", "team_id", "name"]     # updates of other columns only are ignored
//! identity = ["id"]                            # default: the columns of the first key
//! required = ["email"]                         # a NULL here is as bad as no value at all
//! on_missing = "error"                         # error | flush | skip | flush_tag:...
//! on_truncate = "flush"                        # flush | ignore | ["tag", ...]
//!
//! [[rule]]                                     # a row that is part of another object
//! table = "public.order_items"
//! cache = "orders"
//! keys = ["order:{order_id}"]
//! identity = ["id"]                            # an item may move to another order
//!
//! [[rule]]
//! logical_message = "invalidate"               # messages that are native events
//! cache = "users"                              # of those that name none
//!
//! [native]
//! caches = ["sessions"]                        # caches that only native events name
//! ```
//!
//! # When a value is missing
//!
//! Many sources leave out the old row: with PostgreSQL's default replica identity
//! an update carries no old row at all, and a delete only the primary key. A key
//! made of a column that may have changed then stays cached under its old name.
//!
//! So an update without an old row says only that the columns of the replica
//! identity are as they were. A rule knows them by `identity`; a template that uses
//! any other column misses its old value, and `on_missing` decides: `error` (the
//! default) keeps the event as a dead letter and clears the rule's cache, because a
//! colder cache is better than a wrong one; `flush` clears the cache and makes no
//! noise; `flush_tag:tenant:{tenant_id}` clears this tag in place of the cache, or the
//! cache where the tag has no value either; `skip` leaves the old key where it is. The
//! cure is at the source: `ALTER TABLE … REPLICA IDENTITY FULL`.
//!
//! A NULL is a value: no key was ever made of it, so its template is left out,
//! unless the column is `required`. Some sources write NULL for what they do not
//! know. Where a format is known for that, such a null counts as missing, unless a value
//! outside a told `identity` shows that the row is whole; elsewhere `required` is the
//! guard.
//!
//! # When a table is truncated
//!
//! No row is told, so the cache is cleared, unless `on_truncate` names the tags that all
//! of its entries have, which may use `{@schema}` and `{@table}`; `{ tags = [...] }` is
//! the same as the list alone.
//!
//! # Templates
//!
//! `{column}` is filled from the old and from the new row, `{old.column}` and
//! `{new.column}` from one of them, `{@schema}` and `{@table}` from the table's name.
//! Filters follow a bar, as in `{email|lower|trunc:8}`; [`KeyTemplate`] has them all, and
//! is what an application makes the same keys with.

use crate::change::{Op, TableName};
use crate::format::received::{Prefix, Reading};
use crate::pattern::TablePattern;
use cache_core::KeyTemplate;
use cache_core::config::reader::Section;
use cache_core::config::report::nearest;
use cache_core::config::wrong::{Wrong, one_of};
use cache_core::model::key::Name;
use cache_core::model::template::Scope;

/// The most rules in one file: each has its own series in the metrics.
pub const RULES_MAX: usize = 256;
/// The most templates of one rule.
pub const TEMPLATES_MAX: usize = 32;
/// The template of a tag that clears the cache.
pub const ALL: &str = "*";

/// The key of a rule that is about logical messages, not about a table.
const MESSAGE: &str = "logical_message";

/// All rules of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// The rules, in the order of the file. Every one that fits an event counts.
    pub all: Vec<Rule>,
    /// The caches that only native events name.
    pub native: Vec<Name>,
    /// How events are read.
    pub reading: Reading,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The line that it begins on.
    pub line: usize,
    /// The tables.
    pub table: TablePattern,
    /// The cache that depends on them.
    pub cache: Name,
    /// Templates of keys.
    pub keys: Vec<KeyTemplate>,
    /// Templates of tags.
    pub tags: Vec<KeyTemplate>,
    /// The changes of rows that count.
    pub on: Vec<Op>,
    /// If there are any: updates that changed none of these columns are ignored.
    pub update_of: Vec<String>,
    /// The columns of the replica identity.
    pub identity: Vec<String>,
    /// Whether the file tells them; otherwise they are guessed.
    pub identity_is_told: bool,
    /// Columns whose NULL counts as missing.
    pub required: Vec<String>,
    /// What to do when a template misses a value.
    pub on_missing: OnMissing,
    /// What to do when the table is truncated.
    pub on_truncate: OnTruncate,
}

/// What to do when a template misses a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnMissing {
    /// Keep the event as a dead letter, and clear the cache.
    Error,
    /// Clear the cache.
    Flush,
    /// Clear this tag, or the cache where the tag has no value either.
    FlushTag(KeyTemplate),
    /// Leave the template out.
    Skip,
}

/// What to do when the table is truncated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnTruncate {
    /// Clear the cache.
    Flush,
    /// Nothing.
    Ignore,
    /// Clear these tags.
    Tags(Vec<KeyTemplate>),
}

impl Rules {
    /// Reads `[[rule]]` and `[native]`.
    pub fn parse(file: &mut Section<'_>) -> Option<Self> {
        let mut messages = Vec::new();
        let all = file.sections("rule", |section| {
            let text = section.opt_parsed(MESSAGE, prefix);
            match section.has(MESSAGE) {
                true => {
                    let cache = section.opt_parsed("cache", |text| Name::new(text));
                    messages.extend(text.map(|text| Prefix { text, cache }));
                    None
                }
                false => Rule::parse(section),
            }
        });
        let native = file.section("native", |native| {
            let caches = native.list("caches", |text| Name::new(text));
            Some(caches.unwrap_or_default())
        });
        if all.len() + messages.len() > RULES_MAX {
            file.complain("rule", format!("there are more than {RULES_MAX} rules"));
        }
        let rules = Self {
            all,
            native: native?,
            reading: Reading {
                format: None,
                messages,
            },
        };
        if !file.has("rule") && rules.native.is_empty() {
            file.complain(
                "rule",
                Wrong {
                    message: "there are neither rules nor caches of native events".to_owned(),
                    hint: Some("add a [[rule]] with `table`, `cache` and `keys`".to_owned()),
                },
            );
        }
        Some(rules)
    }

    /// The rules about a table, with their places.
    pub fn about<'r>(&'r self, table: &TableName) -> impl Iterator<Item = (usize, &'r Rule)> {
        self.all
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.table.fits(table))
    }

    /// Every cache that an event may be about, each once.
    pub fn caches(&self) -> Vec<Name> {
        let mut caches: Vec<_> = self.all.iter().map(|rule| rule.cache.clone()).collect();
        caches.extend(self.native.iter().cloned());
        let messages = self.reading.messages.iter();
        caches.extend(messages.filter_map(|prefix| prefix.cache.clone()));
        caches.sort();
        caches.dedup();
        caches
    }
}

impl Rule {
    fn parse(section: &mut Section<'_>) -> Option<Self> {
        let table = section.parsed("table", TablePattern::new);
        let cache = section.parsed("cache", |text| Name::new(text));
        let keys = section.list("keys", KeyTemplate::new).unwrap_or_default();
        let tags = section.list("tags", KeyTemplate::new).unwrap_or_default();
        let on = section.words("on", &OPS);
        let update_of = section.list("update_of", column).unwrap_or_default();
        let identity = section.list("identity", column);
        let required = section.list("required", column).unwrap_or_default();
        let on_missing = section.opt_parsed("on_missing", on_missing);
        let on_truncate = on_truncate(section);
        let rule = Self {
            line: section.line().unwrap_or_default(),
            identity_is_told: identity.is_some(),
            identity: identity.unwrap_or_else(|| first_columns(&keys)),
            table: table?,
            cache: cache?,
            keys,
            tags,
            on: on.unwrap_or_else(|| vec![Op::Insert, Op::Update, Op::Delete]),
            update_of,
            required,
            on_missing: on_missing.unwrap_or(OnMissing::Error),
            on_truncate: on_truncate.unwrap_or(OnTruncate::Flush),
        };
        rule.check(section);
        Some(rule)
    }

    /// What no single key can tell.
    fn check(&self, section: &Section<'_>) {
        if !section.has("keys") && !section.has("tags") {
            section.complain(
                "keys",
                Wrong {
                    message: format!("{} has neither `keys` nor `tags`", section.title()),
                    hint: Some(r#"tags = ["*"] clears the whole cache"#.to_owned()),
                },
            );
        }
        if self.keys.len() + self.tags.len() > TEMPLATES_MAX {
            section.complain("keys", format!("more than {TEMPLATES_MAX} keys and tags"));
        }
        if self.on.is_empty() {
            section.complain("on", "`on` is empty; the rule would do nothing".to_owned());
        }
        if !self.update_of.is_empty() && !self.on.contains(&Op::Update) {
            section.complain(
                "update_of",
                "`update_of` without \"update\" in `on`".to_owned(),
            );
        }
        if !section.is_sound("keys") || !section.is_sound("tags") {
            return;
        }
        let used: Vec<_> = self.templates().flat_map(columns).collect();
        for column in self
            .required
            .iter()
            .filter(|column| !used.contains(&column.as_str()))
        {
            section.complain(
                "required",
                Wrong {
                    message: format!("`required`: no template uses `{column}`"),
                    hint: nearest(column, used.iter().copied())
                        .map(|near| format!("did you mean `{near}`?")),
                },
            );
        }
    }

    /// The templates of keys and tags.
    pub fn templates(&self) -> impl Iterator<Item = &KeyTemplate> {
        self.keys.iter().chain(&self.tags)
    }
}

/// The columns that a template reads from a row.
pub fn columns(template: &KeyTemplate) -> impl Iterator<Item = &str> {
    let of_row = template
        .fields()
        .filter(|field| field.scope != Scope::About);
    of_row.map(|field| field.name.as_str())
}

/// The first key is nearly always made of the primary key.
fn first_columns(keys: &[KeyTemplate]) -> Vec<String> {
    keys.first()
        .into_iter()
        .flat_map(columns)
        .map(str::to_owned)
        .collect()
}

fn column(text: &str) -> Result<String, String> {
    match text.is_empty() {
        false => Ok(text.to_owned()),
        true => Err("a column has a name".to_owned()),
    }
}

const OPS: [(&str, Op); 4] = [
    ("insert", Op::Insert),
    ("update", Op::Update),
    ("delete", Op::Delete),
    ("read", Op::Read),
];

/// What a word of `on_missing` begins with that names a tag.
const FLUSH_TAG: &str = "flush_tag:";

fn on_missing(text: &str) -> Result<OnMissing, Wrong> {
    if let Some(tag) = text.strip_prefix(FLUSH_TAG) {
        return Ok(OnMissing::FlushTag(KeyTemplate::new(tag)?));
    }
    let words = ["error", "flush", "skip", FLUSH_TAG].map(|word| (word, word));
    Ok(match one_of(text, &words)? {
        "flush" => OnMissing::Flush,
        "skip" => OnMissing::Skip,
        _ => OnMissing::Error,
    })
}

fn on_truncate(section: &mut Section<'_>) -> Option<OnTruncate> {
    const KEY: &str = "on_truncate";
    let tags = match (section.has_list(KEY), section.has_table(KEY)) {
        (true, _) => section.list(KEY, tag_of_table),
        (_, true) => section.opt_section(KEY, |section| section.list("tags", tag_of_table)),
        _ => {
            let words = ["flush", "ignore"].map(|word| (word, word));
            let word = section.opt_parsed(KEY, |text| one_of(text, &words))?;
            return Some(match word {
                "ignore" => OnTruncate::Ignore,
                _ => OnTruncate::Flush,
            });
        }
    };
    let tags = tags.unwrap_or_default();
    if tags.is_empty() {
        section.complain(KEY, "`on_truncate` names no tags".to_owned());
    }
    Some(OnTruncate::Tags(tags))
}

/// A tag that every row of a table has.
fn tag_of_table(text: &str) -> Result<KeyTemplate, Wrong> {
    let tag = KeyTemplate::new(text)?;
    let column = columns(&tag).next().map(str::to_owned);
    match column {
        None => Ok(tag),
        Some(column) => Err(format!("a truncate has no row, so no `{column}` either").into()),
    }
}

fn prefix(text: &str) -> Result<String, String> {
    match (1..=64).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err("a prefix has 1 to 64 bytes".to_owned()),
    }
}
