//! Keys: the caller's value, its text, and the full key of a state in a store.

pub(crate) mod buffer;
pub(crate) mod digest;
#[cfg(any(feature = "cache", feature = "tower"))]
pub(crate) mod escape;
pub(crate) mod full;
pub(crate) mod hasher;
pub(crate) mod subject;
