//! The process's configuration: its builder, the retry budget, and the instance in use.

pub(crate) mod builder;
#[cfg(feature = "testing")]
pub(crate) mod fault;
pub(crate) mod retry_budget;
pub(crate) mod runtime;
pub(crate) mod scope;
