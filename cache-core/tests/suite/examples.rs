//! Every example runs to its end, and says something.

use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Where cargo puts examples, beside this test.
fn folder() -> PathBuf {
    let test = std::env::current_exe().expect("this test runs");
    let target = test.parent().and_then(Path::parent);
    target.expect("it is in a target folder").join("examples")
}

/// A run of this test alone does not make them.
async fn make(name: &str) {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut build = Command::new(cargo);
    build.args([
        "build",
        "--locked",
        "--package",
        "cache-core",
        "--example",
        name,
    ]);
    let built = build.status().await.expect("cargo is there");
    assert!(built.success(), "{name} is built");
}

#[tokio::test]
async fn every_example_runs_without_servers() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut run = 0;
    for source in sources.read_dir().expect("there are examples") {
        let source = source.expect("it can be listed").path();
        let name = source.file_stem().and_then(|name| name.to_str());
        let name = name.expect("a plain name");
        let example = folder().join(name);
        if !example.exists() {
            make(name).await;
        }
        let ended = Command::new(&example).output().await.expect("it starts");
        let said = String::from_utf8_lossy(&ended.stdout);
        let wrong = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{name}: {said}{wrong}");
        assert!(!said.is_empty(), "{name} says nothing");
        run += 1;
    }
    assert!(run >= 4, "{run} examples");
}
