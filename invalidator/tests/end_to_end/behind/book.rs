//! What the members put, and what of it was acknowledged: written to files, which outlive
//! a process that is killed.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// The processes that write.
pub(crate) const MEMBERS: usize = 2;
/// The tasks of each, with keys of their own.
pub(crate) const TASKS: u64 = 32;
/// The keys of each task.
pub(crate) const KEYS: u64 = 20;
/// The bytes of a line: key, value, and whether it was acknowledged.
const LINE: usize = 17;

/// Where one task of one life writes.
pub(crate) struct Page(File);

impl Page {
    pub(crate) fn create(folder: &Path, life: u64, task: u64) -> Self {
        let file = File::create(folder.join(format!("{life}-{task}")));
        Self(file.expect("the folder is there"))
    }

    pub(crate) fn write(&mut self, key: u64, value: u64, acknowledged: bool) {
        let mut line = [0; LINE];
        line[..8].copy_from_slice(&key.to_be_bytes());
        line[8..16].copy_from_slice(&value.to_be_bytes());
        line[16] = acknowledged.into();
        self.0.write_all(&line).expect("the disk has room");
    }
}

/// All pages.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// The last acknowledged value of each key.
    last: HashMap<i64, i64>,
    acknowledged: u64,
    in_doubt: u64,
}

impl Book {
    pub(crate) fn read(folder: &Path) -> Self {
        let mut book = Self::default();
        for page in folder.read_dir().expect("the folder is there") {
            let page = page.expect("it can be listed");
            let text = std::fs::read(page.path()).expect("it can be read");
            for line in text.chunks_exact(LINE) {
                let number = |at: usize| {
                    let bytes = line[at..at + 8].try_into().expect("eight bytes");
                    u64::from_be_bytes(bytes) as i64
                };
                if line[16] == 0 {
                    book.in_doubt += 1;
                    continue;
                }
                book.acknowledged += 1;
                let last = book.last.entry(number(0)).or_default();
                *last = number(8).max(*last);
            }
        }
        book
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Writes that were not acknowledged; one that was under way when its process was
    /// killed is not counted.
    pub(crate) fn in_doubt(&self) -> u64 {
        self.in_doubt
    }

    /// The keys of which the source has something older than was acknowledged.
    pub(crate) fn lost(&self, rows: &HashMap<i64, i64>) -> Vec<String> {
        let has = |key: &i64| rows.get(key).copied().unwrap_or_default();
        let behind = self.last.iter().filter(|(key, last)| has(key) < **last);
        behind
            .map(|(key, last)| format!("{key}: {last}, and it has {}", has(key)))
            .collect()
    }
}

/// What was written to a row at or after something newer.
pub(crate) fn disorder(history: &[(i64, i64, i64)]) -> Vec<String> {
    let mut last: HashMap<i64, (i64, i64)> = HashMap::new();
    let mut found = Vec::new();
    for (id, version, value) in history {
        let before = last.insert(*id, (*version, *value)).unwrap_or_default();
        if before.0 >= *version || before.1 >= *value {
            found.push(format!(
                "row {id}: {before:?} and then version {version}, value {value}"
            ));
        }
    }
    found
}

#[test]
fn the_judge_of_writes_sees_what_is_lost_twice_or_out_of_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut page = Page::create(folder.path(), 1, 1);
    page.write(7, 1, true);
    page.write(7, 2, true);
    page.write(7, 3, false);
    let book = Book::read(folder.path());
    assert_eq!((book.acknowledged(), book.in_doubt()), (2, 1));
    assert!(book.lost(&HashMap::from([(7, 2)])).is_empty());
    assert!(book.lost(&HashMap::from([(7, 3)])).is_empty());
    assert_eq!(book.lost(&HashMap::from([(7, 1)])).len(), 1, "older");
    assert_eq!(book.lost(&HashMap::new()).len(), 1, "absent");
    assert!(disorder(&[(7, 1, 1), (8, 1, 1), (7, 2, 2)]).is_empty());
    assert_eq!(disorder(&[(7, 2, 2), (7, 1, 1)]).len(), 1, "older");
    assert_eq!(disorder(&[(7, 1, 1), (7, 2, 1)]).len(), 1, "twice");
}
