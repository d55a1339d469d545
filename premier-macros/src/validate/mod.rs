//! The rules for what the user wrote, with the message of each.
//!
//! Expansion starts only when no rule is broken.

pub(crate) mod backoff;
pub(crate) mod callback;
pub(crate) mod checked;
pub(crate) mod error_filter;
pub(crate) mod function;
pub(crate) mod key;
pub(crate) mod limit;
pub(crate) mod values;
