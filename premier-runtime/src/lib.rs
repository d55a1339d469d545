//! Implementation detail of the [`premier`](https://docs.rs/premier) crate: depend on that one.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod acquire;
pub mod algorithms;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "cache")]
pub mod cache;
mod circuit_breaker;
pub mod clock;
mod concurrency;
mod config;
#[cfg(feature = "dashboard")]
pub mod dashboard;
mod decision;
mod error;
mod gate;
mod handler;
mod hasher;
mod key_buffer;
mod key_text;
mod limit;
pub mod limits;
mod lines;
mod memory;
mod outage;
mod place;
#[cfg(feature = "redis")]
mod redis;
mod replaceable;
mod retry;
mod runtime;
mod site;
mod spec;
mod telemetry;
mod throttle;
mod timeout;
#[cfg(feature = "tower")]
pub mod tower;
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
pub use self::retry::{RetryBudget, RetryEvent};
pub use self::runtime::{clear, clear_async, config};
pub use self::throttle::Throttle;
pub use self::timeout::timeout_workers;

#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "cache")]
    pub use crate::cache::{
        CacheSite, CacheSpec, CodecByMemory, CodecBySerde, Parts, Probe, key_part, only_part,
    };
    pub use crate::circuit_breaker::{BreakerSite, BreakerSpec};
    pub use crate::concurrency::{ConcurrencySite, ConcurrencySpec};
    pub use crate::key_text::{KeyShortly, KeyWritten, NoKey, key};
    pub use crate::place::Place;
    pub use crate::retry::{
        FromBadValue, Hint, HintInBox, HintInError, HintInLocalBox, HintInSendBox, HintItself,
        HintNowhere, RetrySite, RetrySpec, Strategy, for_attempt,
    };
    pub use crate::site::{Admission, FromRejection, Site, once};
    pub use crate::spec::Spec;
    pub use crate::timeout::{TimeoutSite, TimeoutSpec, for_worker};
    pub use crate::values::{OneUnit, cost, period};
}
