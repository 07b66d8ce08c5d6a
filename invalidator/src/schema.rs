//! The JSON schema of the rules file, for editors: they complete keys, show what each
//! is for, and mark what `check` would refuse.

/// The schema. What it knows and what the reader knows is the same; a test holds them
/// against each other.
pub const RULES: &str = include_str!("rules.schema.json");
