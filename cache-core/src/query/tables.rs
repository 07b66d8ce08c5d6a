//! The tables that a statement reads, and whether it does nothing else.

use super::refusal::Refusal;
use super::spelling::Dialect;
use super::volatile;
use sqlparser::ast::{
    Expr, Ident, ObjectName, Query, Select, SetExpr, Statement, TableFactor, Value, Visit, Visitor,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// The tables that a statement reads, in order, each as `table` or `schema.table` and in
/// lower case.
///
/// # Errors
/// What else it does.
pub(crate) fn read(statement: &Statement, dialect: Dialect) -> Result<Vec<String>, Refusal> {
    if !matches!(statement, Statement::Query(_)) {
        return Err(Refusal::NotARead(
            "a query begins with SELECT, WITH or VALUES",
        ));
    }
    let mut reading = Reading {
        dialect,
        tables: BTreeSet::new(),
        scopes: Vec::new(),
    };
    match statement.visit(&mut reading) {
        ControlFlow::Break(refusal) => Err(refusal),
        ControlFlow::Continue(()) => Ok(reading.tables.into_iter().collect()),
    }
}

/// A table's name as its tag has it.
///
/// In lower case whatever its quotes are: databases differ in what they fold, and so do
/// the change events. Two tables whose names differ by case alone share a tag.
pub(crate) fn name_of(parts: &[&str]) -> String {
    let last_two = &parts[parts.len().saturating_sub(2)..];
    last_two.join(".").to_lowercase()
}

struct Reading {
    dialect: Dialect,
    tables: BTreeSet<String>,
    scopes: Vec<Scope>,
}

/// The names that a `WITH` gives to queries, from where they are known.
///
/// `WITH users AS (SELECT * FROM users) SELECT * FROM users` reads the table: within the
/// query, the name means it only if the `WITH` is recursive. A name that is taken for a
/// table by mistake costs a tag; the other way round, it would cost an invalidation.
#[derive(Default)]
struct Scope {
    is_recursive: bool,
    known: Vec<String>,
    /// By where the query stands in memory, which does not move while it is visited.
    coming: Vec<(usize, String)>,
}

fn place(query: &Query) -> usize {
    std::ptr::from_ref(query) as usize
}

impl Reading {
    /// A name as the database tells it from others, at the strictest.
    fn exact(&self, name: &Ident) -> String {
        match (self.dialect, name.quote_style) {
            (Dialect::Postgres, None) => name.value.to_ascii_lowercase(),
            _ => name.value.clone(),
        }
    }

    /// The query of a `WITH` begins, or has ended: its name is known from here on.
    fn make_known(&mut self, query: &Query, begins: bool) {
        let Some(scope) = self.scopes.last_mut() else {
            return;
        };
        if scope.is_recursive == begins {
            let here = place(query);
            let names = scope.coming.iter().filter(|(at, _)| *at == here);
            scope.known.extend(names.map(|(_, name)| name.clone()));
        }
    }

    fn is_common(&self, name: &str) -> bool {
        let mut known = self.scopes.iter().flat_map(|scope| &scope.known);
        known.any(|known| known == name)
    }

    fn table(&mut self, name: &ObjectName) -> Result<(), Refusal> {
        let parts: Option<Vec<_>> = name.0.iter().map(|part| part.as_ident()).collect();
        let Some(parts) = parts else {
            return Err(Refusal::Table(name.to_string()));
        };
        let texts: Vec<_> = parts.iter().map(|part| plain(part)).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let is_common = match parts[..] {
            [name] => self.is_common(&self.exact(name)),
            _ => false,
        };
        let table = name_of(&texts);
        if !is_common && volatile::is_catalog(&table) {
            return Err(Refusal::Volatile(table));
        }
        if !is_common {
            self.tables.insert(table);
        }
        Ok(())
    }
}

/// A name without its quotes; a quote within is written twice.
fn plain(name: &Ident) -> String {
    match name.quote_style {
        Some(quote) => name
            .value
            .replace(&format!("{quote}{quote}"), &quote.to_string()),
        None => name.value.clone(),
    }
}

fn flow(result: Result<(), Refusal>) -> ControlFlow<Refusal> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(refusal) => ControlFlow::Break(refusal),
    }
}

fn refused(what: &'static str) -> Result<(), Refusal> {
    Err(Refusal::NotARead(what))
}

/// Whether a body does nothing but read. Its queries and selects are visited by themselves.
fn check_body(body: &SetExpr) -> Result<(), Refusal> {
    let mut waiting = vec![body];
    while let Some(body) = waiting.pop() {
        match body {
            SetExpr::SetOperation { left, right, .. } => waiting.extend([&**left, &**right]),
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => {}
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                return refused("it writes");
            }
            SetExpr::Table(_) => return refused("write `SELECT * FROM` instead of `TABLE`"),
        }
    }
    Ok(())
}

impl Visitor for Reading {
    type Break = Refusal;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Refusal> {
        self.make_known(query, true);
        let mut scope = Scope::default();
        if let Some(with) = &query.with {
            let coming = with.cte_tables.iter();
            let coming = coming.map(|one| (place(&one.query), self.exact(&one.alias.name)));
            scope.coming = coming.collect();
            scope.is_recursive = with.recursive;
        }
        self.scopes.push(scope);
        flow(match query.locks.is_empty() {
            true => check_body(&query.body),
            false => refused("it locks rows"),
        })
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Refusal> {
        self.scopes.pop();
        self.make_known(query, false);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Refusal> {
        flow(match select.into {
            None => Ok(()),
            Some(_) => refused("it writes INTO something"),
        })
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Refusal> {
        flow(match statement {
            Statement::Query(_) => Ok(()),
            _ => refused("it writes"),
        })
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Refusal> {
        flow(match factor {
            TableFactor::Table {
                sample: Some(_), ..
            }
            | TableFactor::Derived {
                sample: Some(_), ..
            } => Err(Refusal::Volatile("TABLESAMPLE".to_owned())),
            TableFactor::Table {
                name,
                args: Some(args),
                ..
            } => volatile::call(name, args.args.len()),
            TableFactor::Table { name, .. } => self.table(name),
            TableFactor::Function { name, args, .. } => volatile::call(name, args.len()),
            TableFactor::SemanticView { name, .. } => self.table(name),
            _ => Ok(()),
        })
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Refusal> {
        flow(volatile::check(expr))
    }

    fn pre_visit_value(&mut self, value: &sqlparser::ast::ValueWithSpan) -> ControlFlow<Refusal> {
        flow(match &value.value {
            Value::SingleQuotedString(text) if volatile::is_moving_date(text) => {
                Err(Refusal::Volatile(format!("the date '{text}'")))
            }
            _ => Ok(()),
        })
    }
}
