//! `invalidator schema`.

use crate::cli::exit::say;
use crate::schema;
use cache_core::ops::exit::Exit;

/// Prints the JSON schema of the rules file.
pub fn run() -> Exit {
    say(schema::RULES)
}
