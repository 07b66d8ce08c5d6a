//! The files of this repository, read once.

use std::fs;
use std::path::{Path, PathBuf};

/// All crates of the workspace.
pub(crate) const CRATES: [&str; 3] = ["cache-core", "cache-agent", "invalidator"];

/// A text file; its path is relative to the root, with `/`.
#[derive(Clone)]
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The repository as it lies on disk, without what git and cargo made.
pub(crate) struct Tree {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) top_level: Vec<String>,
}

impl Tree {
    /// The folder that all paths are of.
    pub(crate) fn root() -> &'static Path {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        own.parent().expect("a crate lies in its workspace")
    }

    pub(crate) fn read() -> Self {
        let root = Self::root();
        let mut files = Vec::new();
        walk(root, root, &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut top_level: Vec<String> = entries(root).iter().map(|p| name(p)).collect();
        top_level.sort();
        Self { files, top_level }
    }

    /// All Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The Rust files under one crate's `src`.
    pub(crate) fn sources<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a SourceFile> {
        let under = format!("{name}/src/");
        self.rust()
            .filter(move |file| file.path.starts_with(&under))
    }
}

impl SourceFile {
    /// For the negative tests of the checks.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    pub(crate) fn parse(&self) -> syn::File {
        syn::parse_file(&self.text)
            .unwrap_or_else(|error| panic!("{} is not Rust: {error}", self.path))
    }

    pub(crate) fn is_source(&self) -> bool {
        self.path.contains("/src/")
    }

    /// The last part of the path, without `.rs`.
    pub(crate) fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name.strip_suffix(".rs").unwrap_or(name)
    }

    pub(crate) fn folders(&self) -> impl Iterator<Item = &str> {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        folder.split('/')
    }
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) {
    for path in entries(folder) {
        let name = name(&path);
        // In a second work tree of git, `.git` is a file that names a folder of the machine.
        if name == ".git" {
            continue;
        }
        if path.is_dir() {
            if name != "target" {
                walk(root, &path, files);
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            let relative = path.strip_prefix(root).expect("the walk began there");
            files.push(SourceFile::new(&relative.to_string_lossy(), &text));
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).expect("a folder of the repository can be read");
    read.flatten().map(|entry| entry.path()).collect()
}

fn name(path: &Path) -> String {
    let name = path.file_name().expect("an entry has a name");
    name.to_string_lossy().into_owned()
}
