//! The configuration of a process.

pub(crate) mod builder;
pub(crate) mod retry_budget;
pub(crate) mod runtime;
