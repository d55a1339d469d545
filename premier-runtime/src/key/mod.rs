//! Keys: the caller's value, its text, and the full key of a state in a store.

pub(crate) mod buffer;
pub(crate) mod digest;
pub(crate) mod full;
pub(crate) mod hasher;
pub(crate) mod subject;
