//! Each format's documented shapes, and each of their traps, from a file to the keys and
//! tags that it makes invalid: `samples/expected.txt` has what all of them come to.

use cache_core::config::reader;
use cache_core::wire::invalidation::Target;
use invalidator::decide::decide;
use invalidator::format::detect;
use invalidator::format::received::{FORMATS, Reading, Received};
use invalidator::rules::Rules;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The rules of all samples; `identity` is guessed for users, and told for the others.
pub(crate) const RULES: &str = "
[[rule]]
table = '*.users'
cache = 'users'
keys = ['user:{id}', 'user:email:{email}']
tags = ['team:{team_id}']

[[rule]]
table = 'public.users'
cache = 'members'
identity = ['id']
tags = ['team:{team_id}']
on_missing = 'skip'

[[rule]]
table = '*.order_items'
cache = 'orders'
identity = ['id']
keys = ['order:{order_id}']

[[rule]]
table = 'shop.customers'
cache = 'customers'
keys = ['customer:{_id}']
tags = ['number:{number}']

[native]
caches = ['sessions']
";

type Headers = &'static [(&'static str, &'static str)];

/// What comes beside the bytes of some samples: a subject, and headers.
const BESIDE: [(&str, &str, Headers); 5] = [
    ("cockroachdb/upsert_by_subject", "cdc.public.users", &[]),
    ("debezium/flat_delete", "shop.public.users", &[]),
    (
        "debezium/postgres_key_change_create",
        "shop.public.users",
        &[("__debezium.oldkey", r#"{"id": 7}"#)],
    ),
    (
        "debezium/postgres_key_change_delete",
        "shop.public.users",
        &[("__debezium.newkey", r#"{"id": 8}"#)],
    ),
    (
        "cloudevents/binary",
        "events",
        &[
            ("Ce-Specversion", "1.0"),
            ("Ce-Id", "1"),
            ("Ce-Source", "/shop"),
            ("Ce-Type", "org.example.user.changed"),
            ("Ce-Time", "2024-10-28T21:39:21.12747Z"),
            ("Content-Type", "application/json"),
        ],
    ),
];

/// A sample: its name, its bytes, and what came beside them.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) subject: &'static str,
    pub(crate) headers: Vec<(String, String)>,
}

impl Sample {
    fn read(name: String, path: &Path) -> Self {
        let beside = BESIDE.iter().find(|(of, ..)| *of == name);
        let (subject, headers) = beside.map_or(("", [].as_slice()), |(_, s, h)| (*s, *h));
        let headers = headers.iter();
        Self {
            payload: fs::read(path).expect("it can be read"),
            subject,
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            name,
        }
    }

    pub(crate) fn received(&self) -> Received<'_> {
        Received {
            subject: self.subject,
            headers: &self.headers,
            payload: &self.payload,
        }
    }
}

/// All samples, by their names.
pub(crate) fn all() -> Vec<Sample> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/samples");
    let within = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("the samples are there");
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect()
    };
    let folders = within(&root).into_iter().filter(|path| path.is_dir());
    let mut files: Vec<_> = folders.flat_map(|folder| within(&folder)).collect();
    files.sort();
    let name = |path: &Path| {
        let short = path.strip_prefix(&root).expect("it is below");
        let short = short.with_extension("");
        let parts: Vec<_> = short.iter().map(|part| part.to_string_lossy()).collect();
        parts.join("/")
    };
    files
        .iter()
        .map(|path| Sample::read(name(path), path))
        .collect()
}

pub(crate) fn rules() -> Rules {
    reader::read("rules.toml", RULES, Rules::parse).expect("good rules")
}

/// What a sample comes to, as `expected.txt` writes it.
fn shown(sample: &Sample, rules: &Rules) -> String {
    let received = sample.received();
    let parsed = detect::parse(&received, &rules.reading).ok();
    let decision = decide(&received, rules);
    let mut text = format!("{}\n", sample.name);
    if let Some(parsed) = parsed {
        let place: Vec<_> = parsed.place.parts().collect();
        let place: Vec<_> = place
            .iter()
            .map(|(name, value)| format!(" {name}={value}"))
            .collect();
        let _ = writeln!(text, "  {}{}", parsed.format.word(), place.concat());
    }
    for count in &decision.counts {
        let _ = writeln!(text, "  {} {}: {:?}", count.rule, count.op, count.outcome);
    }
    for target in &decision.targets {
        let _ = match target {
            Target::Key { cache, key } => {
                writeln!(text, "    {cache} key {}", String::from_utf8_lossy(key))
            }
            Target::Tag { cache, tag } => writeln!(text, "    {cache} tag {tag}"),
            Target::Bucket(_) => panic!("no event names a bucket"),
        };
    }
    if let Some(letter) = &decision.letter {
        let _ = writeln!(text, "  letter: {}", letter.why);
    }
    text
}

/// Each folder is named by its format, which reads all of it also if it is asked for.
#[test]
fn a_format_that_is_asked_for_reads_what_auto_reads() {
    for sample in all() {
        let (folder, _) = sample.name.split_once('/').expect("a folder");
        let asked = FORMATS.into_iter().find(|(word, _)| *word == folder);
        let (_, format) = asked.expect("a word for a format");
        let reading = Reading {
            format,
            ..Reading::default()
        };
        let auto = detect::parse(&sample.received(), &Reading::default());
        if let Ok(parsed) = &auto {
            assert_eq!(Some(parsed.format), format, "{}", sample.name);
        }
        let asked = detect::parse(&sample.received(), &reading);
        assert_eq!(asked, auto, "{}", sample.name);
    }
}

#[test]
fn every_sample_comes_to_what_is_expected_of_it() {
    let rules = rules();
    let samples = all();
    for (name, ..) in BESIDE {
        assert!(samples.iter().any(|sample| sample.name == name), "{name}");
    }
    let shown: Vec<_> = samples.iter().map(|sample| shown(sample, &rules)).collect();
    let shown = shown.join("\n");
    let expected = include_str!("samples/expected.txt");
    assert!(shown == expected, "the samples come to:\n{shown}");
}
