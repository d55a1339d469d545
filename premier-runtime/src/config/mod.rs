//! The process's configuration: its builder, the retry budget, and the instance in use.

pub(crate) mod builder;
pub(crate) mod retry_budget;
pub(crate) mod runtime;
pub(crate) mod scope;
