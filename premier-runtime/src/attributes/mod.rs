//! What the expansions of the attributes call: one file or folder an attribute.

#[cfg(feature = "cache")]
pub mod cache;
pub(crate) mod call_site;
pub(crate) mod circuit_breaker;
pub(crate) mod concurrency;
pub(crate) mod into_arg;
pub(crate) mod retry;
pub(crate) mod spec;
pub(crate) mod throttle;
pub(crate) mod throttle_spec;
pub(crate) mod timeout;
