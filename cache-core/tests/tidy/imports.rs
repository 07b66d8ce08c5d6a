//! Which file imports which, and whether that goes downward.

use std::collections::BTreeMap;

use crate::floor::Floors;
use crate::paths::{Mention, Mentions};
use crate::tree::{CRATES, SourceFile, Tree};

/// The files of one crate as modules.
pub(crate) struct Modules {
    crate_name: String,
    files: Vec<Module>,
}

struct Module {
    /// Relative to `src`: `model/key.rs`.
    path: String,
    /// `["model", "key"]`; empty for `lib.rs`.
    name: Vec<String>,
    children: Vec<String>,
    mentions: Vec<Mention>,
    /// Index of the imported file -> the first line that does it.
    imports: BTreeMap<usize, usize>,
}

impl Modules {
    /// Reads a crate; test modules may import what they like.
    pub(crate) fn of<'a>(name: &str, files: impl Iterator<Item = &'a SourceFile>) -> Self {
        let files = files.filter(|file| file.stem() != "tests");
        let mut modules = Self {
            crate_name: name.to_owned(),
            files: files.map(|file| Module::of(name, file)).collect(),
        };
        for index in 0..modules.files.len() {
            modules.files[index].imports = modules.imports_of(index);
        }
        modules
    }

    /// All imports that do not go down, and all files without a floor.
    pub(crate) fn breaches(&self, floors: &Floors) -> Vec<String> {
        let mut breaches = Vec::new();
        for (index, file) in self.files.iter().enumerate() {
            let Some(floor) = floors.of(&file.path) else {
                breaches.push(format!(
                    "{}: put (\"{}\", {}) or a higher floor into FLOORS",
                    self.show(index),
                    file.path,
                    self.lowest_floor(index, floors, &mut Vec::new()),
                ));
                continue;
            };
            for (target, line) in &file.imports {
                let imported = &self.files[*target];
                let at = format!("{}:{line}", self.show(index));
                if file.is_folder() && imported.lies_in(file) && !floors.is_head(&file.path) {
                    breaches.push(format!("{at} imports its own child {}", imported.path));
                } else if imported.is_folder()
                    && file.lies_in(imported)
                    && !floors.is_head(&imported.path)
                {
                    // What a folder's mod.rs says is there for its files.
                } else if let Some(below) = floors.of(&imported.path)
                    && below >= floor
                {
                    breaches.push(format!(
                        "{at} on floor {floor} imports {} on floor {below}",
                        imported.path
                    ));
                }
            }
        }
        for entry in floors.stale(self.files.iter().map(|file| file.path.as_str())) {
            breaches.push(format!(
                "{}: no file {entry}; take it out of FLOORS",
                self.crate_name
            ));
        }
        breaches
    }

    /// Each circle once, as `a.rs -> b.rs -> a.rs`.
    pub(crate) fn circles(&self) -> Vec<String> {
        let mut search = CircleSearch {
            modules: self,
            trail: Vec::new(),
            done: vec![false; self.files.len()],
            circles: Vec::new(),
        };
        for index in 0..self.files.len() {
            search.visit(index);
        }
        search.circles
    }

    fn show(&self, index: usize) -> String {
        format!("{}/src/{}", self.crate_name, self.files[index].path)
    }

    /// The lowest floor that would stand above all imports, whose own floors
    /// are reckoned alike where they have none.
    fn lowest_floor(&self, index: usize, floors: &Floors, trail: &mut Vec<usize>) -> u32 {
        if trail.contains(&index) {
            return 0;
        }
        trail.push(index);
        let mut lowest = 0;
        for target in self.files[index].imports.keys() {
            let floor = match floors.of(&self.files[*target].path) {
                Some(floor) => floor,
                None => self.lowest_floor(*target, floors, trail),
            };
            lowest = lowest.max(floor + 1);
        }
        trail.pop();
        lowest
    }

    fn imports_of(&self, index: usize) -> BTreeMap<usize, usize> {
        let mut imports = BTreeMap::new();
        for mention in &self.files[index].mentions {
            let target = self
                .resolve(index, mention)
                .filter(|target| *target != index);
            if let Some(target) = target {
                imports.entry(target).or_insert(mention.line);
            }
        }
        imports
    }

    /// The file that a path leads into.
    fn resolve(&self, index: usize, mention: &Mention) -> Option<usize> {
        if mention.absolute {
            return None;
        }
        let file = &self.files[index];
        let first = mention.segments.first()?.as_str();
        let supers = mention
            .segments
            .iter()
            .take_while(|s| *s == "super")
            .count();
        let mut name: Vec<&str> = file.name.iter().map(String::as_str).collect();
        let rest = match first {
            "crate" => {
                name.clear();
                &mention.segments[1..]
            }
            "super" => {
                let above = supers.checked_sub(mention.depth)?;
                name.truncate(name.len().checked_sub(above)?);
                &mention.segments[supers..]
            }
            "self" if mention.depth == 0 => &mention.segments[1..],
            child if mention.depth == 0 && file.children.iter().any(|c| c == child) => {
                &mention.segments[..]
            }
            _ => return None,
        };
        let mut found = self.find(&name);
        for segment in rest {
            name.push(segment);
            found = self.find(&name).or(found);
        }
        found
    }

    fn find(&self, name: &[&str]) -> Option<usize> {
        self.files.iter().position(|file| file.name == name)
    }
}

impl Module {
    fn of(crate_name: &str, file: &SourceFile) -> Self {
        let path = file.path.strip_prefix(&format!("{crate_name}/src/"));
        let path = path.unwrap_or(&file.path).to_owned();
        let mut name: Vec<String> = path.split('/').map(str::to_owned).collect();
        name.pop();
        if !matches!(file.stem(), "lib" | "mod") {
            name.push(file.stem().to_owned());
        }
        let found = Mentions::of(&file.parse());
        Self {
            path,
            name,
            children: found.children,
            mentions: found.paths.into_iter().filter(|m| !m.in_test).collect(),
            imports: BTreeMap::new(),
        }
    }

    /// Has files under it; `lib.rs` is no folder but the top.
    fn is_folder(&self) -> bool {
        !self.name.is_empty() && !self.children.is_empty()
    }

    fn lies_in(&self, folder: &Self) -> bool {
        self.name.len() > folder.name.len() && self.name.starts_with(&folder.name)
    }
}

struct CircleSearch<'a> {
    modules: &'a Modules,
    trail: Vec<usize>,
    done: Vec<bool>,
    circles: Vec<String>,
}

impl CircleSearch<'_> {
    fn visit(&mut self, index: usize) {
        if let Some(start) = self.trail.iter().position(|seen| *seen == index) {
            let circle = self.trail[start..].iter().chain([&index]);
            let names: Vec<String> = circle.map(|i| self.modules.show(*i)).collect();
            self.circles.push(names.join(" -> "));
            return;
        }
        if self.done[index] {
            return;
        }
        self.trail.push(index);
        for target in self.modules.files[index].imports.keys() {
            self.visit(*target);
        }
        self.trail.pop();
        self.done[index] = true;
    }
}

/// Files that mention the library of another service.
pub(crate) fn strangers(tree: &Tree) -> Vec<String> {
    let mut breaches = Vec::new();
    for name in CRATES {
        let others: Vec<String> = ["cache-agent", "invalidator"]
            .into_iter()
            .filter(|other| *other != name)
            .map(|other| other.replace('-', "_"))
            .collect();
        for file in tree.sources(name) {
            for mention in Mentions::of(&file.parse()).paths {
                if mention.segments.len() > 1 && others.contains(&mention.segments[0]) {
                    let found = mention.segments.join("::");
                    breaches.push(format!("{}:{} mentions {found}", file.path, mention.line));
                }
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(files: &[(&str, &str)]) -> Modules {
        let files: Vec<SourceFile> = files
            .iter()
            .map(|(path, text)| SourceFile::new(&format!("x/src/{path}"), text))
            .collect();
        Modules::of("x", files.iter())
    }

    #[test]
    fn a_circle_is_printed() {
        let circle = modules(&[
            ("a.rs", "use crate::b::B; struct A;"),
            ("b.rs", "fn b() { println!(\"{:?}\", crate::c::D); }"),
            ("c.rs", "use super::a::A as D;"),
        ])
        .circles();
        assert_eq!(
            circle,
            ["x/src/a.rs -> x/src/b.rs -> x/src/c.rs -> x/src/a.rs"]
        );
    }

    #[test]
    fn a_crate_of_the_name_of_a_child_is_no_child() {
        let folder = "pub mod redis; fn f(e: ::redis::Error) { ::redis::open(); }";
        let child = "use super::f; use redis::Client;";
        let files = [("f/mod.rs", folder), ("f/redis.rs", child)];
        assert!(modules(&files).circles().is_empty());
    }

    #[test]
    fn test_modules_make_no_circle() {
        let text = "use crate::b::B; #[cfg(test)] mod tests { use super::*; }";
        let back = "#[cfg(test)] mod tests { use crate::a::A; }";
        assert!(
            modules(&[("a.rs", text), ("b.rs", back)])
                .circles()
                .is_empty()
        );
    }

    #[test]
    fn neighbours_children_and_unknown_files_are_breaches() {
        const FLOORS: Floors = Floors {
            floors: &[
                ("f/", 2),
                ("f/mod.rs", 1),
                ("low.rs", 0),
                ("gone.rs", 0),
                ("h/", 0),
                ("h/mod.rs", 1),
            ],
            heads: &["h/mod.rs"],
        };
        let breaches = modules(&[
            ("f/mod.rs", "mod a; mod b; use a::A; struct M;"),
            ("f/a.rs", "use super::M; use super::b::B;"),
            ("f/b.rs", "use crate::low::L;"),
            ("h/mod.rs", "mod a; mod b; use self::a::A;"),
            ("h/a.rs", "pub(super) struct A;"),
            ("h/b.rs", "use super::H;"),
            ("low.rs", "use crate::f::M;"),
            ("new.rs", "use crate::f::b::B;"),
        ])
        .breaches(&FLOORS);
        assert_eq!(
            breaches,
            [
                "x/src/f/mod.rs:1 imports its own child f/a.rs",
                "x/src/f/a.rs:1 on floor 2 imports f/b.rs on floor 2",
                "x/src/h/b.rs:1 on floor 0 imports h/mod.rs on floor 1",
                "x/src/low.rs:1 on floor 0 imports f/mod.rs on floor 1",
                "x/src/new.rs: put (\"new.rs\", 3) or a higher floor into FLOORS",
                "x: no file gone.rs; take it out of FLOORS",
            ]
        );
    }
}
