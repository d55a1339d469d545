//! Implementation detail of the [`premier`](https://docs.rs/premier) crate: depend on that one.

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
        CacheSite, CacheSpec, CodecByMemory, CodecBySerde, Parts as CompositeKey, Probe,
        key_part as key_argument, only_part as only_argument,
    };
    pub use crate::circuit_breaker::{BreakerSite, BreakerSpec};
    pub use crate::concurrency::{ConcurrencySite, ConcurrencySpec};
    pub use crate::key_text::{KeyShortly as KeyFast, KeyWritten as KeyFormatted, NoKey, key};
    pub use crate::place::Place as CallSite;
    pub use crate::retry::{
        FromBadValue, Hint as RetryAfter, HintInBox as RetryAfterInBox,
        HintInError as RetryAfterInError, HintInLocalBox as RetryAfterInLocalBox,
        HintInSendBox as RetryAfterInSendBox, HintItself as RetryAfterItself,
        HintNowhere as NoRetryAfter, RetrySite, RetrySpec, Strategy, for_attempt,
    };
    pub use crate::site::{Admission, FromRejection, Site as ThrottleSite, once};
    pub use crate::spec::Spec as ThrottleSpec;
    pub use crate::timeout::{TimeoutSite, TimeoutSpec, for_worker};
    pub use crate::values::{OneUnit as UnitCost, cost, period};
}
