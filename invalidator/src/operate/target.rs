//! Keys, tags and caches as operators name them.

use cache_core::model::key::{Key, Name};
use cache_core::model::tag::Tag;
use cache_core::wire::invalidation::Target;

/// Everything in a cache.
///
/// # Errors
/// What to write instead, for people.
pub fn cache(text: &str) -> Result<Target, String> {
    let cache = Name::new(text).map_err(|error| error.to_string())?;
    Ok(Target::Tag {
        cache,
        tag: Tag::all(),
    })
}

/// Everything with a tag: `CACHE:TAG`.
///
/// # Errors
/// As [`cache`].
pub fn tag(text: &str) -> Result<Target, String> {
    let (cache, tag) = split(text, "users:team:3")?;
    let tag = Tag::new(tag).map_err(|error| error.to_string())?;
    Ok(Target::Tag { cache, tag })
}

/// One key: `CACHE:KEY`.
///
/// # Errors
/// As [`cache`].
pub fn key(text: &str) -> Result<Target, String> {
    let (cache, key) = split(text, "users:user:7")?;
    let key = Key::new(key.as_bytes()).map_err(|error| error.to_string())?;
    Ok(Target::Key {
        cache,
        key: key.bytes().into(),
    })
}

/// The cache of a target.
pub fn cache_of(target: &Target) -> &Name {
    match target {
        Target::Key { cache, .. } | Target::Tag { cache, .. } => cache,
        Target::Bucket(_) => unreachable!("nobody names a bucket"),
    }
}

/// No name of a cache has a colon; what is behind the first one may have some.
fn split<'t>(text: &'t str, example: &str) -> Result<(Name, &'t str), String> {
    let wrong = || format!("`{text}` names no cache; write it like {example}");
    let (cache, rest) = text.split_once(':').ok_or_else(wrong)?;
    let cache = Name::new(cache).map_err(|error| error.to_string())?;
    Ok((cache, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_comes_before_the_first_colon() {
        let users = Name::new("users").unwrap();
        let named = Target::Key {
            cache: users.clone(),
            key: b"user:7".as_slice().into(),
        };
        assert_eq!(key("users:user:7"), Ok(named.clone()));
        assert_eq!(cache_of(&named), &users);
        let tagged = Target::Tag {
            cache: users.clone(),
            tag: Tag::new("team:3").unwrap(),
        };
        assert_eq!(tag("users:team:3"), Ok(tagged));
        let all = Target::Tag {
            cache: users,
            tag: Tag::all(),
        };
        assert_eq!(cache("users"), Ok(all));
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for wrong in ["users", "users:", ":7", "Users:7"] {
            assert!(key(wrong).is_err(), "{wrong}");
            assert!(tag(wrong).is_err(), "{wrong}");
        }
        assert!(tag("users:*").is_err(), "a whole cache is named by itself");
        assert!(cache("users:7").is_err());
    }
}
