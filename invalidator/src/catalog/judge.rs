//! What the rules need of a table's changes, and what its changes will have.

use crate::catalog::{Identity, Publication, Table};
use crate::change::{Op, TableName};
use crate::postgres::quoted;
use crate::rules::{OnMissing, Rule, Rules};
use cache_core::config::report::nearest;
use cache_core::model::template::Scope;

/// Something that the catalog says of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's line in its file.
    pub line: usize,
    /// What it is about: a table, or a column of one.
    pub subject: String,
    /// How bad it is.
    pub weight: Weight,
    /// What is so.
    pub what: String,
    /// The statement, or the change of the rule, that mends it.
    pub mend: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// All is well.
    Fine,
    /// It costs, or holds only while nobody does something unusual.
    Note,
    /// A change would be missed, or would clear the cache each time.
    Problem,
}

/// Compares all rules with all tables; nothing is left out, so that people see what was
/// looked at.
pub fn judge(rules: &Rules, tables: &[Table]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in &rules.all {
        let fits = |table: &&Table| {
            rule.table.fits(&TableName {
                database: None,
                schema: table.schema.clone(),
                table: table.table.clone(),
            })
        };
        let mut fitting = tables.iter().filter(fits).peekable();
        if fitting.peek().is_none() {
            findings.push(no_table(rule, tables));
        }
        for table in fitting {
            judge_table(rule, table, &mut findings);
        }
    }
    findings
}

fn no_table(rule: &Rule, tables: &[Table]) -> Finding {
    let names: Vec<_> = tables.iter().map(Table::name).collect();
    let near = nearest(rule.table.as_str(), names.iter().map(String::as_str));
    Finding {
        line: rule.line,
        subject: rule.table.as_str().to_owned(),
        weight: Weight::Problem,
        what: "the database has no such table".to_owned(),
        mend: near.map(|near| format!("did you mean `{near}`?")),
    }
}

fn judge_table(rule: &Rule, table: &Table, findings: &mut Vec<Finding>) {
    let mut find = |subject: String, weight, what: String, mend: Option<String>| {
        findings.push(Finding {
            line: rule.line,
            subject,
            weight,
            what,
            mend,
        });
    };
    if table.is_unlogged {
        let mend = format!("ALTER TABLE {} SET LOGGED;", table.quoted());
        let what = "it is unlogged: its changes are in no log";
        find(table.name(), Weight::Problem, what.to_owned(), Some(mend));
    }
    if let Some((what, mend)) = publication(table) {
        find(table.name(), Weight::Problem, what, Some(mend));
    }
    let loses = rule.on.contains(&Op::Update) || rule.on.contains(&Op::Delete);
    if loses && table.identity == Identity::Nothing {
        let what = "it has no replica identity: PostgreSQL refuses updates and deletes of it \
                    as soon as it is published";
        find(
            table.name(),
            Weight::Problem,
            what.to_owned(),
            Some(table.full()),
        );
    }
    if table.is_partitioned {
        let what = "a TRUNCATE of one partition is not told; truncate the whole, or delete rows";
        find(table.name(), Weight::Note, what.to_owned(), None);
    }
    for need in needs(rule) {
        let (weight, what, mend) = column(rule, table, &need);
        find(
            format!("{}.{}", table.name(), need.column),
            weight,
            what,
            mend,
        );
    }
    for name in &rule.identity {
        let claimed = table.columns.iter().find(|column| column.name == *name);
        let is_true = claimed.is_none_or(|column| column.is_identity);
        if table.identity == Identity::Key && !is_true {
            let what = "`identity` names it, but the replica identity does not have it: an \
                        update would be taken to have left it as it was";
            let subject = format!("{}.{name}", table.name());
            find(
                subject,
                Weight::Problem,
                what.to_owned(),
                Some(table.full()),
            );
        }
    }
}

/// A column that a rule reads.
struct Need {
    column: String,
    /// Whether the old value is needed.
    old: bool,
}

fn needs(rule: &Rule) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    let fields = rule.templates().flat_map(|template| template.fields());
    for field in fields.filter(|field| field.scope != Scope::About) {
        let old = field.scope != Scope::New;
        match needs.iter_mut().find(|need| need.column == field.name) {
            Some(need) => need.old |= old,
            None => needs.push(Need {
                column: field.name.clone(),
                old,
            }),
        }
    }
    for name in &rule.update_of {
        if !needs.iter().any(|need| need.column == *name) {
            needs.push(Need {
                column: name.clone(),
                old: false,
            });
        }
    }
    needs
}

fn column(rule: &Rule, table: &Table, need: &Need) -> (Weight, String, Option<String>) {
    let Some(column) = table
        .columns
        .iter()
        .find(|column| column.name == need.column)
    else {
        let names = table.columns.iter().map(|column| column.name.as_str());
        let near = nearest(&need.column, names);
        let mend = near.map(|near| format!("did you mean `{near}`?"));
        return (
            Weight::Problem,
            "the table has no such column".to_owned(),
            mend,
        );
    };
    if let Some(left_out) = table.sent().find(|it| !it.columns.contains(&column.name)) {
        let what = format!("the publication {} leaves it out", left_out.name);
        let mend = publish_whole(&left_out.name, table);
        return (Weight::Problem, what, Some(mend));
    }
    let loses = rule.on.contains(&Op::Update) || rule.on.contains(&Op::Delete);
    match table.identity {
        Identity::Full => (
            Weight::Fine,
            "its old value is always told".to_owned(),
            None,
        ),
        Identity::Key if column.is_identity => {
            let what = "its old value is told when it changes, and when the row goes";
            (Weight::Fine, what.to_owned(), None)
        }
        _ if !need.old || !loses => (
            Weight::Fine,
            "only its new value is needed".to_owned(),
            None,
        ),
        _ => {
            let (weight, then) = match rule.on_missing {
                OnMissing::Error => (
                    Weight::Problem,
                    "each such change clears the cache, as a dead letter",
                ),
                OnMissing::Skip => (Weight::Problem, "the old key stays cached"),
                _ => (Weight::Note, "each such change clears more than the row"),
            };
            let what = format!("its old value is not told: {then}");
            (weight, what, Some(table.full()))
        }
    }
}

/// What is wrong with how the table is published.
fn publication(table: &Table) -> Option<(String, String)> {
    let quoted = table.quoted();
    let Some(first) = table.publications.first() else {
        let what = "no publication sends its changes".to_owned();
        return Some((what, format!("ALTER PUBLICATION … ADD TABLE {quoted};")));
    };
    let name = &first.name;
    if table.publications.iter().all(|it| it.is_partial) {
        let mend = format!(
            "ALTER PUBLICATION \"{name}\" SET (publish = 'insert, update, delete, truncate');"
        );
        return Some((format!("the publication {name} leaves changes out"), mend));
    }
    if table.publications.iter().all(|it| it.has_filter) {
        let mend = publish_whole(name, table);
        return Some((format!("the publication {name} leaves rows out"), mend));
    }
    None
}

/// The statements that have a publication send all of a table. `SET TABLE` would take all
/// others out of it.
fn publish_whole(publication: &str, table: &Table) -> String {
    let (alter, table) = (
        format!("ALTER PUBLICATION \"{publication}\""),
        table.quoted(),
    );
    format!("BEGIN; {alter} DROP TABLE {table}; {alter} ADD TABLE {table}; COMMIT;")
}

impl Table {
    /// Its name, for people.
    pub fn name(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }

    fn quoted(&self) -> String {
        quoted(&self.schema, &self.table)
    }

    /// The statement that has all old values told.
    fn full(&self) -> String {
        format!("ALTER TABLE {} REPLICA IDENTITY FULL;", self.quoted())
    }

    /// The publications that send its changes, unless one of them sends all of them.
    fn sent(&self) -> impl Iterator<Item = &Publication> {
        let is_whole = |it: &Publication| it.columns.len() == self.columns.len();
        let any_whole = self.publications.iter().any(is_whole);
        self.publications.iter().filter(move |_| !any_whole)
    }
}
