//! What pages and settings name is there: series, kinds of errors, keys of files.

use crate::tree::{SourceFile, Tree};
use cache_core::testkit::markdown;
use cache_core::testkit::pages::SERIES;

/// What series begin with.
const PREFIXES: [&str; 2] = ["cacheaside_", "grpc_server_"];
/// What begins so and is no series: the table of an outbox.
const NO_SERIES: [&str; 1] = ["cacheaside_outbox"];
/// What Prometheus adds to every series, or a histogram.
const TARGETS: [&str; 6] = ["instance", "job", "le", "namespace", "pod", "container"];
const ERRORS: &str = "cache-core/docs/errors.md";
const KINDS: &str = "cache-core/src/error.rs";
const WHY_STALE: &str = "cache-core/docs/why_stale.md";
const REASONS: &str = "cache-core/src/fill/reason.rs";

/// Series that are named outside of the code and in no row of the table of all.
pub(crate) fn series(tree: &Tree) -> Vec<String> {
    let ends = [".md", ".yml", ".yaml", ".json", ".html"];
    let named = |file: &&SourceFile| ends.iter().any(|end| file.path.ends_with(end));
    let files = tree.files.iter().filter(named);
    files.flat_map(series_in).collect()
}

fn series_in(file: &SourceFile) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = file.text.split(|c| !is_part(c));
    let words = words.filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix)));
    let unknown = words.filter(|word| !NO_SERIES.contains(word) && !is_series(word));
    unknown
        .map(|word| format!("{} names {word}, which is no series", file.path))
        .collect()
}

fn is_series(word: &str) -> bool {
    let row = |name: &str, kind: &str| SERIES.contains(&format!("\n| `{name}` | {kind}"));
    let parts = ["_bucket", "_sum", "_count"];
    let mut whole = parts.iter().filter_map(|part| word.strip_suffix(part));
    row(word, "") || whole.any(|name| row(name, "histogram |"))
}

/// Labels that a selector asks for, and that its series has not, or never with that value.
pub(crate) fn labels(tree: &Tree) -> Vec<String> {
    let ends = [".md", ".yml", ".yaml", ".json"];
    let files = tree.files.iter();
    let files = files.filter(|file| ends.iter().any(|end| file.path.ends_with(end)));
    files.flat_map(labels_in).collect()
}

fn labels_in(file: &SourceFile) -> Vec<String> {
    let mut breaches = Vec::new();
    for (at, _) in file.text.match_indices('{') {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = file.text[..at].rsplit(|c| !is_part(c)).next();
        let Some(row) = name.and_then(row_of) else {
            continue;
        };
        let inside = file.text[at + 1..].split('}').next().unwrap_or_default();
        // In JSON the quotes are escaped.
        let inside = inside.replace('\\', "");
        for (label, value) in matchers(&inside) {
            if !TARGETS.contains(&label) && !has_label(row, label, value) {
                let name = name.unwrap_or_default();
                breaches.push(format!("{}: {name} has no {label}={value}", file.path));
            }
        }
    }
    breaches
}

/// The labels of a series, as its row has them.
fn row_of(name: &str) -> Option<&'static str> {
    let ends = ["_bucket", "_sum", "_count", ""];
    let rows = SERIES.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut rows = rows.filter_map(|row| row.split_once("` | "));
    let is_whole = |row: &str| ends.iter().any(|end| name.strip_suffix(end) == Some(row));
    rows.find(|(row, _)| is_whole(row))
        .and_then(|(_, rest)| rest.split(" | ").nth(1))
}

/// Each `label="value"`, whatever stands between the two.
fn matchers(inside: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = inside.split(',').filter_map(|part| part.split_once('='));
    parts.map(|(label, value)| {
        (
            label.trim().trim_end_matches('!'),
            value.trim_matches(['~', '"']),
        )
    })
}

fn has_label(row: &str, label: &str, value: &str) -> bool {
    let Some((_, after)) = row.split_once(&format!("`{label}`")) else {
        return false;
    };
    // What a row lists are all values there are.
    let Some(listed) = after.strip_prefix(" (").and_then(|it| it.split(')').next()) else {
        return true;
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words = value.split('|').filter(|word| word.chars().all(is_word));
    words.all(|word| listed.contains(&format!("`{word}`")))
}

/// Kinds of errors without a row in their page, and rows without a kind.
pub(crate) fn kinds(tree: &Tree) -> Vec<String> {
    let file = |path: &str| tree.files.iter().find(|file| file.path == path);
    let (Some(page), Some(code)) = (file(ERRORS), file(KINDS)) else {
        return vec![format!("{ERRORS} or {KINDS} is missing")];
    };
    let mut kinds: Vec<String> = Vec::new();
    for item in code.parse().items {
        if let syn::Item::Enum(item) = item
            && item.ident == "Kind"
        {
            kinds.extend(item.variants.iter().map(|kind| kind.ident.to_string()));
        }
    }
    let rows = page
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter(|row| !row.starts_with("Kind`"));
    let rows: Vec<_> = rows.filter_map(|row| row.split('`').next()).collect();
    let missing = kinds.iter().filter(|kind| !rows.contains(&kind.as_str()));
    let missing = missing.map(|kind| format!("{ERRORS} has no row for {kind}"));
    let strange = rows
        .iter()
        .filter(|row| !kinds.iter().any(|kind| kind == *row));
    let strange = strange.map(|row| format!("{ERRORS} has {row}, which is no kind"));
    missing.chain(strange).collect()
}

/// Reasons that the page about stale values explains and nobody gives.
pub(crate) fn reasons(tree: &Tree) -> Vec<String> {
    let file = |path: &str| tree.files.iter().find(|file| file.path == path);
    let (Some(page), Some(code)) = (file(WHY_STALE), file(REASONS)) else {
        return vec![format!("{WHY_STALE} or {REASONS} is missing")];
    };
    let table = page.text.lines();
    let table = table.skip_while(|line| !line.starts_with("| `does not answer:"));
    let rows = table.skip(2).map_while(|line| line.strip_prefix("| "));
    let told = rows.filter_map(|row| row.split(" |").next());
    let lost = told.filter(|told| {
        let mut parts = told.split('…').map(str::trim);
        // Where the page has dots, the code puts something in.
        parts.any(|part| !code.text.contains(part))
    });
    lost.map(|told| format!("{WHY_STALE} explains `{told}`, which {REASONS} never says"))
        .collect()
}

/// Keys and tables of files, as pages show them, that no code reads.
pub(crate) fn keys(tree: &Tree) -> Vec<String> {
    let pages = tree.files.iter().filter(|file| file.path.ends_with(".md"));
    let mut breaches = Vec::new();
    for page in pages {
        for key in keys_in(&page.text) {
            // Of a file, or of the settings of Rust.
            let names = [format!("\"{key}\""), format!("pub {key}: ")];
            let reads = |file: &SourceFile| names.iter().any(|name| file.text.contains(name));
            if !tree.rust().any(|file| file.is_source() && reads(file)) {
                breaches.push(format!(
                    "{} shows the key {key}: nobody reads it",
                    page.path
                ));
            }
        }
    }
    breaches
}

/// The keys of blocks of TOML, and of spans such as `[table] key` and `key = "word"`.
fn keys_in(page: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let fences = markdown::fences(page);
    let shown = fences.iter().filter(|(language, _)| language == "toml");
    for line in shown.flat_map(|(_, held)| held.lines()) {
        keys.extend(key_of(line));
    }
    for span in markdown::spans(page).lines() {
        if let Some((table, key)) = span.strip_prefix('[').and_then(|it| it.split_once("] ")) {
            keys.extend([table.trim_matches('['), key].map(str::to_owned));
        } else if span
            .split_once(" = ")
            .is_some_and(|(_, value)| is_value(value))
        {
            keys.extend(key_of(span));
        }
    }
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    keys.retain(|key| !key.is_empty() && key.chars().all(is_word));
    keys
}

fn key_of(line: &str) -> Option<String> {
    let key = match line.split_once(" = ") {
        Some((key, _)) => key,
        // Of a table within a table the last word is a key like others.
        None => line
            .strip_prefix('[')?
            .trim_matches(['[', ']'])
            .rsplit('.')
            .next()?,
    };
    Some(key.trim().to_owned())
}

/// What TOML takes for a value; SQL and the files of servers write their words bare.
fn is_value(text: &str) -> bool {
    text.starts_with(['"', '[']) || ["true", "false"].contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(text: &str) -> usize {
        series_in(&SourceFile::new("a.md", text)).len()
    }

    #[test]
    fn a_series_that_is_not_there_is_found() {
        assert_eq!(
            unknown("`cacheaside_gets_total`, public.cacheaside_outbox"),
            0
        );
        assert_eq!(
            unknown("rate(cacheaside_load_duration_seconds_bucket[5m])"),
            0
        );
        assert_eq!(unknown("cacheaside_gets, cacheaside_gets_total_bucket"), 2);
    }

    #[test]
    fn a_label_that_is_not_there_is_found() {
        let found = |text: &str| labels_in(&SourceFile::new("a.md", text)).len();
        for sound in [
            "cacheaside_gets_total{result=\"stale\", cache=\"users\"}",
            "cacheaside_loads_total{result=~\"error|timeout\",job!=\"x\"}",
            "cacheaside_load_duration_seconds_bucket{le=\"0.1\"}",
            "up{odd=\"1\"}",
            "a {b}",
        ] {
            assert_eq!(found(sound), 0, "{sound}");
        }
        for odd in [
            "cacheaside_gets_total{outcome=\"stale\"}",
            "cacheaside_loads_total{result=~\"error|stale\"}",
            "cacheaside_loads_total{result=\\\"stale\\\"}",
        ] {
            assert_eq!(found(odd), 1, "{odd}");
        }
    }

    #[test]
    fn a_kind_without_a_row_and_a_row_without_a_kind_are_found() {
        let code = SourceFile::new(KINDS, "pub enum Kind { Invalid, Encode }");
        let page = SourceFile::new(ERRORS, "| `Kind` |\n| --- |\n| `Invalid` |\n| `Odd` |\n");
        let tree = Tree {
            files: vec![page, code],
            top_level: Vec::new(),
        };
        assert_eq!(kinds(&tree).len(), 2, "{:?}", kinds(&tree));
    }

    #[test]
    fn a_reason_that_nobody_gives_is_found() {
        let page = "| `does not answer: …` | so |\n| --- | --- |\n| its tag … is |\n| odd | x |\n";
        let code = "write!(f, \"its tag {tag} is stamped\")";
        let files = vec![
            SourceFile::new(WHY_STALE, page),
            SourceFile::new(REASONS, code),
        ];
        let top_level = Vec::new();
        assert_eq!(reasons(&Tree { files, top_level }).len(), 1);
    }

    #[test]
    fn keys_are_found_in_blocks_and_in_spans() {
        let page = "`[drain] delay` and `start = \"degraded\"`, `wal_level = logical`\n\
            ```toml\n[[cache]]\nname = \"users\"  # a name\n```\n";
        assert_eq!(keys_in(page), ["cache", "name", "drain", "delay", "start"]);
    }
}
