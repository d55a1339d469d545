//! A caller's key: typed, as text, and as part of the full key of a state.

pub(crate) mod buffer;
pub(crate) mod full;
pub(crate) mod hasher;
pub(crate) mod subject;
