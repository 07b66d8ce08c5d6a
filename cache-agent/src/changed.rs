//! What changed from one configuration to another, key by key.

use cache_core::config::shown::{By, Key, Shown};
use std::collections::BTreeMap;

/// The keys that differ, as in `listen.tcp` or `cache.users.ttl`; a table that only one of
/// them has is named as a whole.
pub fn changed(before: &Shown, after: &Shown) -> Vec<String> {
    let (before, after) = (tables(before), tables(after));
    let mut all = Vec::new();
    for (name, keys) in &before {
        match after.get(name) {
            None => all.push(name.clone()),
            Some(others) => all.extend(differing(name, keys, others)),
        }
    }
    let added = after.keys().filter(|name| !before.contains_key(*name));
    all.extend(added.cloned());
    all.sort();
    all.dedup();
    all
}

/// The tables by name. Of several under one header it is the key `name` that tells them
/// apart, wherever they stand, or else their turn.
fn tables(shown: &Shown) -> BTreeMap<String, &[Key]> {
    let mut all = BTreeMap::new();
    for (header, keys) in shown.tables() {
        let plain = header.trim_matches(['[', ']']);
        let called = keys.iter().find(|key| key.name == "name");
        let called = called.filter(|_| header.starts_with("[["));
        let mut name = match called.and_then(|key| key.value.as_deref()) {
            Some(value) => format!("{plain}.{}", value.trim_matches(['"', '\''])),
            None => plain.to_owned(),
        };
        while all.contains_key(&name) {
            name.push('+');
        }
        all.insert(name, keys);
    }
    all
}

fn differing(table: &str, before: &[Key], after: &[Key]) -> Vec<String> {
    let find = |keys: &'_ [Key], name: &str| keys.iter().find(|key| key.name == name).cloned();
    let names = before.iter().chain(after).map(|key| key.name);
    let differ = names.filter(|name| match (find(before, name), find(after, name)) {
        // What follows from another key is named by that one.
        (Some(a), Some(b)) if (a.by, b.by) == (By::Default, By::Default) => false,
        (a, b) => a.and_then(|key| key.value) != b.and_then(|key| key.value),
    });
    differ
        .map(|key| match table {
            "" => key.to_owned(),
            table => format!("{table}.{key}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const FILE: &str = "start = 'degraded'\n[listen]\ntcp = '127.0.0.1:7390'\n\
        [l2]\nkind = 'single'\nurls = ['redis://127.0.0.1:6379']\n\
        [bus]\nurl = 'nats://127.0.0.1:4222'\n";

    fn shown(caches: &str) -> Shown {
        let text = format!("{FILE}{caches}");
        config::show("agent.toml", &text, &[])
            .expect("a good file")
            .1
    }

    #[test]
    fn keys_are_named_by_their_tables_and_caches_by_their_names() {
        let before = shown("[[cache]]\nname = 'a'\n[[cache]]\nname = 'b'\nttl = '1m'\n");
        let same = shown("[[cache]]\nname = \"b\"\nttl = '1m'\n[[cache]]\nname = 'a'\n");
        assert!(
            changed(&before, &same).is_empty(),
            "their order is no change"
        );
        let after = shown("[[cache]]\nname = 'b'\nttl = '2m'\n[[cache]]\nname = 'c'\n");
        assert_eq!(
            changed(&before, &after),
            ["cache.a", "cache.b.ttl", "cache.c"]
        );
        let text = format!("{FILE}[[cache]]\nname = 'a'\n[[cache]]\nname = 'b'\nttl = '1m'\n");
        let text = text
            .replace("7390", "7391")
            .replace("'degraded'", "'refuse'");
        let moved = config::show("agent.toml", &text, &[])
            .expect("a good file")
            .1;
        assert_eq!(changed(&before, &moved), ["listen.tcp", "start"]);
    }
}
