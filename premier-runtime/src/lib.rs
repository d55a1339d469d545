//! Implementation detail of the [`premier`](https://docs.rs/premier) crate: depend on that one.

mod acquire;
pub mod algorithms;
pub mod clock;
mod config;
mod decision;
mod error;
mod gate;
mod handler;
mod key_buffer;
mod limit;
mod lines;
mod memory;
mod outage;
mod quantity;
#[cfg(feature = "redis")]
mod redis;
mod runtime;
mod site;
mod spec;
mod throttle;
mod values;

pub use self::config::{Config, OnBackendError};
pub use self::decision::{Decision, Reservation};
pub use self::error::Error;
pub use self::handler::{BoxFuture, Handler, Key, Operation, Request};
pub use self::limit::{Algo, Limit};
pub use self::memory::{MemoryHandler, MemoryHandlerBuilder};
pub use self::outage::{OutageCalls, outage_calls};
#[cfg(feature = "redis")]
pub use self::redis::{RedisBuilder, RedisHandler, RedisStatus};
pub use self::runtime::{clear, clear_async, config};
pub use self::throttle::Throttle;

#[doc(hidden)]
pub mod __private {
    pub use crate::site::{Admission, FromRejection, Site, key, once, once_ok};
    pub use crate::spec::Spec;
    pub use crate::values::cost;
}
