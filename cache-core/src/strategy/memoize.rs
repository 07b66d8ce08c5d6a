//! Memoizing: an async function whose answers are cached by its arguments.

use crate::coherence::announce::Change;
use crate::error::{Error, Kind};
use crate::fill::run::Load;
use crate::fill::{Ask, Tiers};
use crate::model::key::Key;
use crate::model::template::KeyTemplate;
use crate::source::{Cause, Loaded};
use crate::strategy::cache_aside::Hit;
use futures_util::future::BoxFuture;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

type KeyOf<A> = dyn Fn(&A) -> Result<Vec<u8>, Error> + Send + Sync;
type Function<A, V> = dyn Fn(A) -> BoxFuture<'static, Result<Loaded<V>, Cause>> + Send + Sync;

/// A function with a cache before it. Clones share both.
pub struct Memoized<A, V> {
    tiers: Arc<Tiers<V>>,
    key: Arc<KeyOf<A>>,
    function: Arc<Function<A, V>>,
}

/// Arguments that fill a [`KeyTemplate`], in the order in which its fields first appear: a
/// tuple of one to six, each with a text that tells it apart.
pub trait Args: Send + 'static {
    /// How many there are.
    const COUNT: usize;

    /// Each as its text.
    fn texts(&self) -> Vec<String>;
}

macro_rules! args {
    ($($count:literal: $($arg:ident $at:tt),+;)*) => {$(
        impl<$($arg: fmt::Display + Send + 'static),+> Args for ($($arg,)+) {
            const COUNT: usize = $count;

            fn texts(&self) -> Vec<String> {
                vec![$(self.$at.to_string()),+]
            }
        }
    )*};
}

args! {
    1: A 0;
    2: A 0, B 1;
    3: A 0, B 1, C 2;
    4: A 0, B 1, C 2, D 3;
    5: A 0, B 1, C 2, D 3, E 4;
    6: A 0, B 1, C 2, D 3, E 4, F 5;
}

/// The names of a template's fields, each once.
fn names(template: &KeyTemplate) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for field in template.fields() {
        if !names.contains(&field.name) {
            names.push(field.name.clone());
        }
    }
    names
}

/// The key function that a template makes.
///
/// # Errors
/// [`Kind::Invalid`] if it has another number of fields than there are arguments: two calls
/// could share a key.
pub(crate) fn by_template<A: Args>(
    template: KeyTemplate,
) -> Result<impl Fn(&A) -> Result<String, Error> + Send + Sync + 'static, Error> {
    let names = names(&template);
    if names.len() != A::COUNT {
        let error = Error::new(Kind::Invalid, "memoizing by a template", template.as_str());
        return Err(error.hint(format!(
            "it has {} fields for {} arguments",
            names.len(),
            A::COUNT
        )));
    }
    Ok(move |args: &A| {
        let texts = args.texts();
        let value_of = |name: &str| {
            let at = names.iter().position(|known| known == name)?;
            texts.get(at).map(|text| Cow::Borrowed(text.as_str()))
        };
        let rendered = template.render_with(|field| value_of(&field.name));
        rendered.map_err(|field| {
            let error = Error::new(Kind::Invalid, "rendering a template", template.as_str());
            error.hint(format!("no argument is left for `{}`", field.name))
        })
    })
}

impl<A: Send + 'static, V: Send + Sync + 'static> Memoized<A, V> {
    pub(crate) fn new<K, F, Fut, L, E>(
        tiers: Arc<Tiers<V>>,
        key: impl Fn(&A) -> Result<K, Error> + Send + Sync + 'static,
        function: F,
    ) -> Self
    where
        K: AsRef<[u8]>,
        F: Fn(A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<L, E>> + Send + 'static,
        L: Into<Loaded<V>>,
        E: Into<Cause>,
    {
        let function = move |args| {
            let answering = function(args);
            let answering = async move { answering.await.map(Into::into).map_err(Into::into) };
            Box::pin(answering) as BoxFuture<'static, _>
        };
        Self {
            tiers,
            key: Arc::new(move |args| Ok(key(args)?.as_ref().to_vec())),
            function: Arc::new(function),
        }
    }

    /// The function's answer for these arguments, from the cache or by one call of it in the
    /// fleet; `None` if it answers with an absence.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for arguments whose key is outside its limits, and what a load may
    /// fail with, as [`crate::ReadThrough::get`].
    pub async fn call(&self, args: A) -> Result<Option<Hit<V>>, Error> {
        self.call_with(args, &Ask::default()).await
    }

    /// The same, with wishes of its own.
    ///
    /// # Errors
    /// As [`Memoized::call`].
    pub async fn call_with(&self, args: A, ask: &Ask) -> Result<Option<Hit<V>>, Error> {
        let bytes = (self.key)(&args)?;
        let function = self.function.clone();
        let load = Load::Alone(Box::new(move |_| function(args)));
        let key = Key::new(&bytes)?;
        self.tiers.get_or_load_hit(key, ask, load).await
    }

    /// Invalidates the answer for these arguments everywhere, as [`crate::Cache::invalidate`].
    ///
    /// # Errors
    /// As [`crate::Cache::invalidate`].
    pub async fn invalidate(&self, args: &A) -> Result<bool, Error> {
        let bytes = (self.key)(args)?;
        let change = Change::key(&self.tiers.policy.name, Key::new(&bytes)?, None);
        self.tiers.domain.announce(change).await
    }
}

impl<A, V> Clone for Memoized<A, V> {
    fn clone(&self) -> Self {
        Self {
            tiers: self.tiers.clone(),
            key: self.key.clone(),
            function: self.function.clone(),
        }
    }
}

impl<A, V> fmt::Debug for Memoized<A, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memoized")
            .field("tiers", &self.tiers)
            .finish_non_exhaustive()
    }
}
