//! The contract itself, held against its last release by buf.

use std::path::PathBuf;
use std::process::Command;

fn buf(args: &[&str]) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("proto");
    let run = Command::new("buf").args(args).current_dir(folder).output();
    let run = run.expect("buf is installed: deploy/install does it");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "buf {args:?}:\n{said}");
}

/// Releases, the last one at the end.
fn released() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("proto/released");
    let files = std::fs::read_dir(folder).expect("the folder is there");
    let names = files.map(|file| file.expect("a file").file_name().into_string());
    let mut names: Vec<_> = names.map(|name| name.expect("UTF-8")).collect();
    names.sort_by_key(|name| {
        let numbers = name.trim_end_matches(".binpb").split('.');
        let numbers = numbers.map(|number| number.parse::<u32>().expect("a version"));
        numbers.collect::<Vec<_>>()
    });
    names
}

#[test]
fn the_contract_is_written_as_buf_likes_it() {
    buf(&["lint"]);
}

#[test]
fn no_caller_of_the_last_release_is_broken() {
    let last = released().pop().expect("there was a release");
    buf(&["breaking", "--against", &format!("released/{last}")]);
}

#[test]
fn a_contract_that_breaks_callers_is_found_out() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("proto");
    let there = folder.path().join("cacheaside/v1");
    std::fs::create_dir_all(&there).expect("a folder");
    std::fs::copy(here.join("buf.yaml"), folder.path().join("buf.yaml")).expect("a copy");
    for name in ["cache", "invalidation", "stream", "loader", "admin"] {
        let file = format!("{name}.proto");
        let text = std::fs::read_to_string(here.join("cacheaside/v1").join(&file));
        let text = text.expect("the file is there");
        let broken = text.replace("bytes key = 2;", "string key = 2;");
        std::fs::write(there.join(file), broken).expect("a file");
    }
    let last = released().pop().expect("there was a release");
    let against = here.join("released").join(last);
    let against = against.to_str().expect("UTF-8");
    let mut command = Command::new("buf");
    command.args(["breaking", "--against", against]);
    let run = command
        .current_dir(folder.path())
        .output()
        .expect("buf is installed");
    assert!(!run.status.success(), "a changed type was let through");
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(said.contains("GetRequest"), "{said}");
}
