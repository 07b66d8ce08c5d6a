//! The words of the product as types: positions, keys, tags, lifetimes, entries.

pub mod as_of;
pub mod entry;
pub mod key;
pub mod landmark;
pub mod lifetime;
pub mod position;
pub mod second_look;
pub mod session;
pub mod tag;
pub mod template;
