//! How a file finds its floor among those of its crate.

/// The floors of one crate.
pub(crate) struct Floors {
    pub(crate) floors: &'static [(&'static str, u32)],
    /// Each `mod.rs` that is not the ground its folder stands on but the head
    /// above it: it imports its children, and none of them imports it.
    pub(crate) heads: &'static [&'static str],
}

impl Floors {
    /// The floor of a file, by the longest entry that fits.
    pub(crate) fn of(&self, path: &str) -> Option<u32> {
        let fitting = self.floors.iter().filter(|(entry, _)| fits(entry, path));
        let longest = fitting.max_by_key(|(entry, _)| entry.len())?;
        Some(longest.1)
    }

    /// Whether the `mod.rs` at `path` stands above its children.
    pub(crate) fn is_head(&self, path: &str) -> bool {
        self.heads.contains(&path)
    }

    /// Entries that fit no file.
    pub(crate) fn stale<'a>(
        &'a self,
        paths: impl Iterator<Item = &'a str> + Clone,
    ) -> impl Iterator<Item = &'static str> {
        let entries = self.floors.iter().map(|(entry, _)| *entry);
        let entries = entries.chain(self.heads.iter().copied());
        entries.filter(move |entry| !paths.clone().any(|path| fits(entry, path)))
    }
}

fn fits(entry: &str, path: &str) -> bool {
    path == entry || (entry.ends_with('/') && path.starts_with(entry))
}
