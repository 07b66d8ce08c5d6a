//! Every relative link of a page leads to something, its anchor too.

use crate::tree::{SourceFile, Tree};
use cache_core::testkit::markdown;

/// How alert rules name the heading that an operator is sent to.
const RUNBOOK: &str = "deploy/runbook.md";

/// Links that lead nowhere.
pub(crate) fn breaches(tree: &Tree) -> Vec<String> {
    let pages = tree.files.iter().filter(|file| file.path.ends_with(".md"));
    let links = pages.flat_map(|page| breaches_in(tree, page));
    let others = tree.files.iter().filter(|file| is_settings(&file.path));
    links
        .chain(others.flat_map(|file| headings_missed(tree, file)))
        .collect()
}

fn is_settings(path: &str) -> bool {
    [".yml", ".yaml", ".json"].iter().any(|e| path.ends_with(e))
}

fn breaches_in(tree: &Tree, page: &SourceFile) -> Vec<String> {
    let mut breaches = Vec::new();
    for target in markdown::links(&page.text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
        let path = match path {
            "" => page.path.clone(),
            path => joined(&page.path, path),
        };
        if !exists(tree, &path) {
            breaches.push(format!("{} links to {target}: no {path}", page.path));
        } else if !anchor.is_empty() && !has_anchor(tree, &path, anchor) {
            breaches.push(format!("{} links to {target}: no such heading", page.path));
        }
    }
    breaches
}

/// Mentions of the runbook in rules and settings, whose heading is not there.
fn headings_missed(tree: &Tree, file: &SourceFile) -> Vec<String> {
    let place = format!("{RUNBOOK}#");
    let mentions = file.text.split(&place).skip(1);
    let anchors = mentions.map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '-');
        &rest[..end.unwrap_or(rest.len())]
    });
    anchors
        .filter(|anchor| !has_anchor(tree, RUNBOOK, anchor))
        .map(|anchor| format!("{} sends to {RUNBOOK}#{anchor}: no such heading", file.path))
        .collect()
}

/// `target` as seen from the folder of `page`.
fn joined(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Whether a file or a folder is there; a file that is no text is looked for on the disk.
fn exists(tree: &Tree, path: &str) -> bool {
    let folder = format!("{path}/");
    let mut files = tree.files.iter().map(|file| &file.path);
    files.any(|file| file == path || file.starts_with(&folder)) || Tree::root().join(path).exists()
}

fn has_anchor(tree: &Tree, path: &str, anchor: &str) -> bool {
    let mut pages = tree.files.iter().filter(|file| file.path == path);
    pages.any(|page| markdown::anchors(&page.text).any(|heading| heading == anchor))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "url: https://x/deploy/runbook.md#the-end\n";

    fn breaches_of(page: &str) -> Vec<String> {
        let files = vec![
            SourceFile::new("a/docs/page.md", page),
            SourceFile::new("a/other.md", "# A head, `ours`\n```sh\n# none\n```\n"),
            SourceFile::new(RUNBOOK, "## The end\n"),
            SourceFile::new("deploy/rules.yml", RULES),
        ];
        let top_level = Vec::new();
        breaches(&Tree { files, top_level })
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        for sound in [
            "[x](../other.md)",
            "[x](../other.md#a-head-ours)",
            "[x](https://example.com/y)",
            "# Here\n[x](#here)",
            "[x](../../a)",
            "`[x](gone.md)`",
        ] {
            assert_eq!(breaches_of(sound), [""; 0], "{sound}");
        }
        for lost in ["[x](gone.md)", "[x](../other.md#none)", "[x\ny](#here)"] {
            assert_eq!(breaches_of(lost).len(), 1, "{lost}");
        }
    }

    #[test]
    fn an_alert_without_its_heading_is_found() {
        let rules = SourceFile::new("deploy/rules.yml", "deploy/runbook.md#gone\"\n");
        let files = vec![SourceFile::new(RUNBOOK, "## The end\n"), rules];
        let top_level = Vec::new();
        assert_eq!(breaches(&Tree { files, top_level }).len(), 1);
    }
}
