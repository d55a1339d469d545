//! Where the state of limits is kept.

pub(crate) mod handler;
pub(crate) mod memory;
pub(crate) mod outage;
#[cfg(feature = "redis")]
pub(crate) mod redis;
pub(crate) mod request;
pub(crate) mod take_all;
#[cfg(feature = "cache")]
pub(crate) mod values;
