//! `cache-agent config show`: the configuration in effect.

use crate::cli::say::{self, Ended, Format};
use cache_core::config::shown::{By, Shown};
use cache_core::ops::exit::Exit;
use serde_json::{Map, Value, json};

/// Shows every key in effect, and who says so.
pub fn run(shown: &Shown, format: Format) -> Ended {
    match format {
        Format::Text => say::say(shown.to_string().as_bytes())?,
        Format::Json => {
            for (table, keys) in shown.tables() {
                let keys = keys.iter().map(|key| {
                    let by = match key.by {
                        By::File => "file",
                        By::Outside => "environment",
                        By::Default => "default",
                    };
                    let value = key.value.as_deref().map(value);
                    (key.name.to_owned(), json!({"value": value, "by": by}))
                });
                let keys: Map<String, Value> = keys.collect();
                say::object(&json!({"table": table, "keys": keys}))?;
            }
        }
    }
    Ok(Exit::Done)
}

/// A value as JSON has it. One that JSON knows nothing of, as a time, is left in TOML.
fn value(text: &str) -> Value {
    let parsed = toml::from_str::<toml::Table>(&format!("v = {text}"));
    let value = parsed.ok().and_then(|mut table| table.remove("v"));
    let json = value.and_then(|value| serde_json::to_value(value).ok());
    json.unwrap_or_else(|| Value::String(text.to_owned()))
}
