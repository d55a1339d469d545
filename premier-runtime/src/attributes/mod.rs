//! What the expansions of the attributes call: one file or folder per attribute.
//!
//! An expansion declares a static [`site::Site`] and passes a function that makes a [`spec::Spec`]
//! from the arguments of the attribute. The first call binds the spec to a [`site::Policy`].

#[cfg(feature = "cache")]
pub mod cache;
pub(crate) mod call_site;
pub(crate) mod cause;
pub(crate) mod circuit_breaker;
pub(crate) mod concurrency;
pub(crate) mod ending;
pub(crate) mod fallback;
pub(crate) mod fault;
pub(crate) mod into_arg;
pub(crate) mod output;
pub(crate) mod output_type;
#[cfg(feature = "dashboard")]
mod registry;
pub(crate) mod rejection;
pub(crate) mod retry;
pub(crate) mod site;
mod spec;
pub(crate) mod throttle;
pub(crate) mod timeout;
