//! What a query is bound to, as bytes that tell every two lists of parameters apart.

use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A parameter of a query.
///
/// There are integers, floats, `bool`, text, [`Bytes`], lists, references and `Option`s of
/// them, for which `None` is NULL; [`Shown`] takes whatever has a text of its own. An
/// integer counts by its value: `7_u8` and `7_i64` are one.
pub trait Param {
    /// Adds this parameter.
    fn add_to(&self, params: &mut Encoded);

    /// Adds a list of it.
    fn add_all(list: &[Self], params: &mut Encoded)
    where
        Self: Sized,
    {
        params.list(list.len());
        list.iter().for_each(|one| one.add_to(params));
    }
}

/// A parameter that counts by its text: `Shown(&uuid)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown<T>(pub T);

/// Parameters as bytes: each with its kind and its length before it, so that no two run
/// together.
#[derive(Clone, Debug, Default)]
pub struct Encoded(Vec<u8>);

impl Encoded {
    /// Adds NULL.
    pub fn null(&mut self) {
        self.0.push(0);
    }

    /// Adds a truth.
    pub fn bool(&mut self, value: bool) {
        self.0.extend([1, u8::from(value)]);
    }

    /// Adds a text.
    pub fn text(&mut self, value: &str) {
        self.long(4, value.as_bytes());
    }

    /// Adds bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        self.long(5, value);
    }

    /// Begins a list; its items follow.
    pub fn list(&mut self, length: usize) {
        self.0.push(6);
        self.0.extend((length as u64).to_le_bytes());
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn integer(&mut self, is_negative: bool, size: u128) {
        self.0.extend([2, u8::from(is_negative)]);
        self.0.extend(size.to_le_bytes());
    }

    fn float(&mut self, value: f64) {
        self.0.push(3);
        self.0.extend(value.to_bits().to_le_bytes());
    }

    fn long(&mut self, kind: u8, value: &[u8]) {
        self.0.push(kind);
        self.0.extend((value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value);
    }
}

macro_rules! integers {
    ($($signed:ty, $unsigned:ty);*) => {$(
        impl Param for $signed {
            fn add_to(&self, params: &mut Encoded) {
                params.integer(*self < 0, u128::from(self.unsigned_abs()));
            }
        }

        impl Param for $unsigned {
            fn add_to(&self, params: &mut Encoded) {
                params.integer(false, u128::from(*self));
            }
        }
    )*};
}

integers!(i8, u8; i16, u16; i32, u32; i64, u64; i128, u128);

impl Param for f64 {
    fn add_to(&self, params: &mut Encoded) {
        params.float(*self);
    }
}

impl Param for f32 {
    fn add_to(&self, params: &mut Encoded) {
        params.float(f64::from(*self));
    }
}

impl Param for bool {
    fn add_to(&self, params: &mut Encoded) {
        params.bool(*self);
    }
}

impl Param for str {
    fn add_to(&self, params: &mut Encoded) {
        params.text(self);
    }
}

impl Param for String {
    fn add_to(&self, params: &mut Encoded) {
        params.text(self);
    }
}

impl Param for Bytes {
    fn add_to(&self, params: &mut Encoded) {
        params.bytes(self);
    }
}

impl<T: fmt::Display> Param for Shown<T> {
    fn add_to(&self, params: &mut Encoded) {
        params.text(&self.0.to_string());
    }
}

impl<T: Param> Param for Option<T> {
    fn add_to(&self, params: &mut Encoded) {
        match self {
            Some(value) => value.add_to(params),
            None => params.null(),
        }
    }
}

impl<T: Param> Param for [T] {
    fn add_to(&self, params: &mut Encoded) {
        T::add_all(self, params);
    }
}

impl<T: Param, const N: usize> Param for [T; N] {
    fn add_to(&self, params: &mut Encoded) {
        T::add_all(self, params);
    }
}

impl<T: Param> Param for Vec<T> {
    fn add_to(&self, params: &mut Encoded) {
        T::add_all(self, params);
    }
}

/// Implements it for what only points at a parameter.
macro_rules! pointers {
    ($($pointer:ty),*) => {$(
        impl<T: Param + ?Sized> Param for $pointer {
            fn add_to(&self, params: &mut Encoded) {
                (**self).add_to(params);
            }
        }
    )*};
}

pointers!(&T, Box<T>, Arc<T>);

impl<T: Param + ToOwned + ?Sized> Param for Cow<'_, T> {
    fn add_to(&self, params: &mut Encoded) {
        (**self).add_to(params);
    }
}
