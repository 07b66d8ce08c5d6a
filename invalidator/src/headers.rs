//! Headers of NATS as pairs.

use async_nats::HeaderMap;

/// Every header with every of its values.
pub fn flat(headers: &HeaderMap) -> Vec<(String, String)> {
    let all = headers.iter().flat_map(|(name, values)| {
        let name = name.to_string();
        let values = values.iter();
        values.map(move |value| (name.clone(), value.to_string()))
    });
    all.collect()
}
