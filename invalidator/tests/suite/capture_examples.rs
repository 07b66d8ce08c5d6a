//! The files of the examples of captures are read, and the page about them says only what
//! is there. That they work, a test with real servers shows (`tests/stream/worked`).

use invalidator::capture::outbox::sql::sql;
use invalidator::capture::settings::{self, Events};
use invalidator::capture::{mariadb, outbox, series};
use invalidator::config;
use invalidator::metrics::Metrics;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const MANUAL: &str = include_str!("../../docs/capture.md");

/// Every file of the examples: folder, name, and text.
fn files() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/capture");
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("it is there") {
            let path = entry.expect("it is there").path();
            let last = |path: &Path| path.file_name().expect("a name").display().to_string();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let text = fs::read_to_string(&path).expect("a text");
                    found.push((last(&folder), last(&path), text));
                }
            }
        }
    }
    found
}

/// Where the capture of a folder writes; a bridge of one's own has no file.
fn events(folder: &str, text: &str) -> Events {
    let file = "capture.toml";
    match folder {
        "postgres" => settings::settings(file, text, &[]).map(|file| file.events),
        "mariadb" => mariadb::settings::settings(file, text, &[]).map(|file| file.events),
        "outbox" => outbox::settings::settings(file, text, &[]).map(|file| file.events),
        other => panic!("whose is {other}/{file}?"),
    }
    .unwrap_or_else(|report| panic!("{folder}: {report}"))
}

#[test]
fn every_file_is_read() {
    let mut read = BTreeSet::new();
    for (folder, name, text) in files() {
        match name.as_str() {
            "capture.toml" => drop(events(&folder, &text)),
            "rules.toml" => drop(config::rules(&name, &text).expect(&folder)),
            "invalidator.toml" => drop(config::service(&name, &text, &[]).expect(&folder)),
            _ if name.ends_with(".sql") => assert!(text.starts_with("-- "), "{name}"),
            _ => panic!("nobody reads {folder}/{name}"),
        }
        read.insert(format!("{folder}/{name}"));
    }
    for folder in ["postgres", "wal2json", "mariadb", "outbox"] {
        for name in ["rules.toml", "setup.sql"] {
            let file = format!("{folder}/{name}");
            assert!(read.contains(&file), "{file} is missing");
            assert!(MANUAL.contains(&file), "the page leaves {file} out");
        }
    }
}

#[test]
fn rules_read_what_the_capture_beside_them_writes() {
    let all = files();
    let mut seen = 0;
    for (folder, _, capture) in all.iter().filter(|(_, name, _)| name == "capture.toml") {
        let events = events(folder, capture);
        let beside = |(of, name, _): &&(_, String, _)| of == folder && name == "rules.toml";
        let (_, _, rules) = all.iter().find(beside).expect("rules beside it");
        let source = config::rules("rules.toml", rules).expect("rules").source;
        assert_eq!(source.stream, events.stream, "{folder}");
        let filter = format!("{}.>", events.prefix);
        assert_eq!(source.filter.as_deref(), Some(filter.as_str()), "{folder}");
        seen += 1;
    }
    assert_eq!(seen, 3);
}

#[test]
fn the_table_of_an_outbox_is_the_one_that_the_command_prints() {
    let printed = sql(&[]);
    let table = printed.split_inclusive(";\n").next().expect("a statement");
    let is_setup =
        |(folder, name, _): &&(String, String, _)| folder == "outbox" && name == "setup.sql";
    let all = files();
    let (_, _, setup) = all.iter().find(is_setup).expect("it is there");
    assert!(setup.contains(table), "{table}");
}

/// Statements on the page are those of the files, which a test runs.
#[test]
fn statements_on_the_page_are_those_of_the_files() {
    let sql = |(_, name, text): (String, String, String)| name.ends_with(".sql").then_some(text);
    let known: String = files().into_iter().filter_map(sql).collect();
    let blocks = MANUAL.split("```sql\n").skip(1);
    let lines: Vec<_> = blocks
        .flat_map(|block| block.split("```").next().unwrap_or_default().lines())
        .filter(|line| !line.starts_with("--") && !line.is_empty())
        .collect();
    assert!(lines.len() > 5, "{lines:?}");
    for line in lines {
        assert!(known.contains(line), "no file has: {line}");
    }
}

#[test]
fn series_on_the_page_are_there() {
    let mut registry = Registry::default();
    series::Series::new(&mut registry);
    outbox::series::Series::new(&mut registry);
    Metrics::new(&mut registry, "CDC");
    let mut known = String::new();
    encode(&mut known, &registry).expect("a text");
    let quoted = MANUAL.split('`').skip(1).step_by(2);
    let series: Vec<_> = quoted
        .filter(|word| word.starts_with("cacheaside_"))
        .collect();
    assert!(series.len() > 8, "{series:?}");
    for series in series {
        let name = series.trim_end_matches("_total");
        assert!(known.contains(&format!("# HELP {name} ")), "{series}");
    }
}
