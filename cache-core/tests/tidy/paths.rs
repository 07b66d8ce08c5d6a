//! Every path a Rust file mentions, with the names that `use` gave expanded.

use std::collections::HashMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// One mention of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    /// `["crate", "model", "key", "Key"]`
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// How many inline modules stand around it; `super` counts from there.
    pub(crate) depth: usize,
    /// Inside `#[cfg(test)]`.
    pub(crate) in_test: bool,
    /// Begins with `::`, so it names another crate whatever is known here.
    pub(crate) absolute: bool,
}

/// What a file mentions.
#[derive(Default)]
pub(crate) struct Mentions {
    pub(crate) paths: Vec<Mention>,
    /// Names of macros called, as `println`.
    pub(crate) macros: Vec<Mention>,
    /// Names of attributes, as `ignore`.
    pub(crate) attributes: Vec<Mention>,
    /// Modules declared in files of their own.
    pub(crate) children: Vec<String>,
    depth: usize,
    in_test: bool,
    absolute: bool,
}

impl Mentions {
    pub(crate) fn of(file: &syn::File) -> Self {
        let mut found = Self::default();
        found.visit_file(file);
        found.expand();
        found
    }

    fn mention(&self, segments: Vec<String>, line: usize) -> Mention {
        Mention {
            segments,
            line,
            depth: self.depth,
            in_test: self.in_test,
            absolute: self.absolute,
        }
    }

    /// `Instant::now` after `use std::time::Instant` is `std::time::Instant::now`.
    fn expand(&mut self) {
        let names: HashMap<String, Vec<String>> = self
            .paths
            .iter()
            .filter(|mention| mention.segments.len() > 1)
            .filter_map(|mention| alias(&mention.segments))
            .collect();
        for mention in &mut self.paths {
            mention.segments.retain(|s| !s.starts_with(RENAMED));
            if mention.absolute {
                continue;
            }
            if let Some(full) = names.get(&mention.segments[0]) {
                let rest = mention.segments.split_off(1);
                mention.segments.clone_from(full);
                mention.segments.extend(rest);
            }
        }
    }

    fn use_tree(&mut self, tree: &syn::UseTree, mut before: Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.use_tree(&path.tree, before);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, before.clone());
                }
            }
            syn::UseTree::Name(name) => self.used(before, &name.ident, &name.ident),
            syn::UseTree::Rename(rename) => self.used(before, &rename.ident, &rename.rename),
            syn::UseTree::Glob(glob) => {
                let line = glob.star_token.spans[0].start().line;
                self.paths.push(self.mention(before, line));
            }
        }
    }

    fn used(&mut self, mut path: Vec<String>, name: &syn::Ident, known_as: &syn::Ident) {
        let line = name.span().start().line;
        if name != "self" {
            path.push(name.to_string());
        }
        // A last segment that `expand` reads and takes away again.
        let known_as = match known_as.to_string() {
            own if own == "self" => path.last().cloned().unwrap_or_default(),
            other => other,
        };
        path.push(format!("{RENAMED}{known_as}"));
        self.paths.push(self.mention(path, line));
    }

    /// Macros are not parsed: any `a::b::c` among their tokens counts.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.close(&mut path, line);
                    }
                    line = ident.span().start().line;
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) => {
                    if punct.as_char() == '!' && path.len() == 1 {
                        self.macros.push(self.mention(path.clone(), line));
                    }
                    self.close(&mut path, line);
                    colons = 0;
                }
                TokenTree::Group(group) => {
                    self.close(&mut path, line);
                    self.tokens(group.stream());
                }
                TokenTree::Literal(_) => self.close(&mut path, line),
            }
        }
        self.close(&mut path, line);
    }

    fn close(&mut self, path: &mut Vec<String>, line: usize) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.paths.push(self.mention(path, line));
        }
    }
}

impl<'ast> Visit<'ast> for Mentions {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.absolute = item.leading_colon.is_some();
        self.use_tree(&item.tree, Vec::new());
        self.absolute = false;
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let outer = self.in_test;
        self.in_test |= item.attrs.iter().any(is_cfg_test);
        if item.content.is_none() {
            self.children.push(item.ident.to_string());
        }
        self.depth += 1;
        visit::visit_item_mod(self, item);
        self.depth -= 1;
        self.in_test = outer;
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        let line = path.segments[0].ident.span().start().line;
        let mut mention = self.mention(segments, line);
        mention.absolute = path.leading_colon.is_some();
        self.paths.push(mention);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        if let Some(last) = item.path.segments.last() {
            let line = last.ident.span().start().line;
            let mention = self.mention(vec![last.ident.to_string()], line);
            self.macros.push(mention);
        }
        self.tokens(item.tokens.clone());
    }

    /// `pub(super)` says who may see, not what is seen.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let path = attribute.path();
        if let Some(last) = path.segments.last() {
            let line = last.ident.span().start().line;
            let mention = self.mention(vec![last.ident.to_string()], line);
            self.attributes.push(mention);
        }
    }
}

/// Marks the name under which a `use` makes its path known.
const RENAMED: &str = "=";

fn alias(segments: &[String]) -> Option<(String, Vec<String>)> {
    let (known_as, path) = segments.split_last()?;
    let known_as = known_as.strip_prefix(RENAMED)?;
    let relative = matches!(path[0].as_str(), "self" | "super");
    (path.len() > 1 && !relative).then(|| (known_as.to_owned(), path.to_vec()))
}

fn is_cfg_test(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute
            .parse_args::<syn::Path>()
            .is_ok_and(|path| path.is_ident("test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mentions(text: &str) -> Vec<String> {
        let file = syn::parse_file(text).expect("a snippet of Rust");
        let found = Mentions::of(&file).paths;
        found.iter().map(|m| m.segments.join("::")).collect()
    }

    #[test]
    fn names_given_by_use_are_expanded() {
        let found = mentions("use std::time; fn f() { time::Instant::now(); }");
        assert!(found.contains(&"std::time::Instant::now".to_owned()));
        let found = mentions("use std::{env as e, fs::{self}}; fn f() { e::var(); fs::read(); }");
        assert!(found.contains(&"std::env::var".to_owned()));
        assert!(found.contains(&"std::fs::read".to_owned()));
    }

    #[test]
    fn paths_inside_macros_are_found() {
        let found = mentions("fn f() { println!(\"{}\", crate::a::b(x::y)); }");
        assert!(found.contains(&"crate::a::b".to_owned()));
        assert!(found.contains(&"x::y".to_owned()));
    }
}
