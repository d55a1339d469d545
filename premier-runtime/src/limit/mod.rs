//! Limits, their algorithms, and the decisions they make.

pub(crate) mod algo;
pub(crate) mod args;
pub(crate) mod decision;
pub(crate) mod lease;
pub(crate) mod quota;
#[cfg(feature = "serde")]
mod serde;
mod text;
