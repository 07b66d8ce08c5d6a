//! The size ratchet: small things stay small, large ones only shrink.

use syn::visit::{self, Visit};

use crate::tree::{SourceFile, Tree};

/// Largest number of lines in a Rust file, and in a script or a style sheet of a page.
const FILE: usize = 450;
/// Largest number of characters in a line of the latter, which no formatter breaks.
const LINE: usize = 140;
/// What the names of the latter end with.
const OF_PAGES: [&str; 2] = [".js", ".css"];

/// The median of all files under `src` lies below.
const MEDIAN: usize = 200;

/// Largest number of lines in a function, from `fn` to its closing brace.
const FUNCTION: usize = 70;

/// Functions that were larger when the rule came: file, name, lines. An entry
/// may only shrink, and goes once the function fits. Add none.
const LARGER: &[(&str, &str, usize)] = &[];

/// All files and functions over their size, and all entries of the list of
/// exceptions that could shrink.
pub(crate) fn breaches(tree: &Tree) -> Vec<String> {
    let mut breaches: Vec<String> = tree.rust().filter_map(large_file).collect();
    let of_pages = |file: &&SourceFile| OF_PAGES.iter().any(|end| file.path.ends_with(end));
    for file in tree.files.iter().filter(of_pages) {
        breaches.extend(large_file(file));
        breaches.extend(long_line(file));
    }
    let mut lengths: Vec<usize> = tree.rust().filter(|f| f.is_source()).map(lines).collect();
    let median = median(&mut lengths);
    if median >= MEDIAN {
        breaches.push(format!(
            "the median file has {median} lines; it must be under {MEDIAN}"
        ));
    }
    let functions: Vec<Function> = tree.rust().flat_map(functions).collect();
    breaches.extend(ratchet(&functions, LARGER));
    breaches
}

fn large_file(file: &SourceFile) -> Option<String> {
    let lines = lines(file);
    let path = &file.path;
    (lines > FILE).then(|| format!("{path} has {lines} lines; split it, {FILE} are the limit"))
}

/// The first line that is too long.
fn long_line(file: &SourceFile) -> Option<String> {
    let path = &file.path;
    let mut numbered = file.text.lines().zip(1..);
    let (line, number) = numbered.find(|(line, _)| line.chars().count() > LINE)?;
    let chars = line.chars().count();
    Some(format!(
        "{path}:{number} has {chars} characters; {LINE} are the limit"
    ))
}

fn lines(file: &SourceFile) -> usize {
    file.text.lines().count()
}

fn median(lengths: &mut [usize]) -> usize {
    lengths.sort_unstable();
    lengths.get(lengths.len() / 2).copied().unwrap_or(0)
}

struct Function {
    file: String,
    name: String,
    line: usize,
    lines: usize,
}

fn functions(file: &SourceFile) -> Vec<Function> {
    let mut found = Functions {
        file: &file.path,
        functions: Vec::new(),
    };
    found.visit_file(&file.parse());
    found.functions
}

struct Functions<'a> {
    file: &'a str,
    functions: Vec<Function>,
}

impl Functions<'_> {
    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let first = signature.fn_token.span.start().line;
        let last = body.brace_token.span.close().end().line;
        self.functions.push(Function {
            file: self.file.to_owned(),
            name: signature.ident.to_string(),
            line: first,
            lines: last - first + 1,
        });
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.add(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

fn ratchet(functions: &[Function], larger: &[(&str, &str, usize)]) -> Vec<String> {
    let mut breaches = Vec::new();
    let is = |f: &Function, file: &str, name: &str| f.file == file && f.name == name;
    for f in functions.iter().filter(|f| f.lines > FUNCTION) {
        let entry = larger.iter().find(|(file, name, _)| is(f, file, name));
        let limit = entry.map_or(FUNCTION, |(_, _, lines)| *lines);
        if f.lines > limit {
            let (file, line, name, lines) = (&f.file, f.line, &f.name, f.lines);
            breaches.push(format!(
                "{file}:{line} fn {name} has {lines} lines; {limit} are the limit"
            ));
        }
    }
    for (file, name, lines) in larger {
        let now = functions
            .iter()
            .filter(|f| is(f, file, name))
            .map(|f| f.lines)
            .max();
        match now {
            Some(now) if now > FUNCTION && now < *lines => {
                breaches.push(format!(
                    "{file} fn {name} shrank to {now} lines; lower its entry"
                ));
            }
            Some(now) if now > FUNCTION => {}
            _ => breaches.push(format!(
                "{file} fn {name} needs no exception; remove its entry"
            )),
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(lines: usize) -> Vec<Function> {
        let body = "    work();\n".repeat(lines - 2);
        let text = format!("struct S;\nimpl S {{\n/// Doc.\nfn long() {{\n{body}}}\n}}\n");
        functions(&SourceFile::new("x/src/a.rs", &text))
    }

    #[test]
    fn a_long_function_is_found() {
        assert!(ratchet(&long(FUNCTION), &[]).is_empty());
        assert_eq!(
            ratchet(&long(FUNCTION + 1), &[]),
            ["x/src/a.rs:4 fn long has 71 lines; 70 are the limit"]
        );
    }

    #[test]
    fn exceptions_only_shrink() {
        let of = |lines| [("x/src/a.rs", "long", lines)];
        assert!(ratchet(&long(80), &of(80)).is_empty());
        assert_eq!(ratchet(&long(81), &of(80)).len(), 1, "it grew");
        assert_eq!(ratchet(&long(79), &of(80)).len(), 1, "it shrank");
        assert_eq!(ratchet(&long(70), &of(80)).len(), 1, "it fits");
        assert_eq!(ratchet(&[], &of(80)).len(), 1, "it is gone");
    }

    #[test]
    fn a_long_line_of_a_script_is_found() {
        let script = |chars| SourceFile::new("x/src/a.js", &format!("\n{}\n", "a".repeat(chars)));
        assert!(long_line(&script(LINE)).is_none());
        assert_eq!(
            long_line(&script(LINE + 1)).as_deref(),
            Some("x/src/a.js:2 has 141 characters; 140 are the limit")
        );
    }

    #[test]
    fn a_large_file_is_found() {
        let file = |lines| SourceFile::new("x/src/a.rs", &"\n".repeat(lines));
        assert!(large_file(&file(FILE)).is_none());
        assert!(large_file(&file(FILE + 1)).is_some());
        assert_eq!(median(&mut [9, 1, 5]), 5);
    }
}
