//! Implementation detail of the [`premier`](https://docs.rs/premier) crate: depend on that one.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod algorithms;
mod attributes;
pub mod bounds;
pub mod clock;
mod config;
mod error;
mod integrations;
mod key;
mod limit;
mod limiter;
mod permit;
mod process;
mod store;
mod sync;
mod sync_future;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod throttle;

#[cfg(feature = "cache")]
pub use self::attributes::cache;
pub use self::attributes::retry::RetryEvent;
pub use self::attributes::timeout::timeout_workers;
pub use self::config::builder::Config;
pub use self::config::retry_budget::RetryBudget;
pub use self::error::{BackendSource, Error};
#[cfg(feature = "axum")]
pub use self::integrations::axum;
#[cfg(feature = "dashboard")]
pub use self::integrations::dashboard;
#[cfg(feature = "tower")]
pub use self::integrations::tower;
pub use self::key::full::Key;
pub use self::limit::algo::Algo;
pub use self::limit::decision::{Decision, Reservation};
pub use self::limit::lease::Lease;
pub use self::limit::quota::Limit;
pub use self::limiter::overrides as limits;
pub use self::limiter::settling::OnDrop;
pub use self::permit::Permit;
pub use self::process::{clear, clear_async, config};
pub use self::store::handler::Handler;
pub use self::store::memory::{MemoryHandler, MemoryHandlerBuilder};
pub use self::store::outage::{OnBackendError, OutageCalls, outage_calls};
#[cfg(feature = "redis")]
pub use self::store::redis::{RedisBuilder, RedisHandler, RedisStatus};
pub use self::store::request::{BoxFuture, Operation, Request};
pub use self::throttle::Throttle;

/// What expansions call. Not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use std::boxed::Box;

    pub use crate::__premier_before_body as before_body;

    #[cfg(feature = "cache")]
    pub use crate::attributes::cache::arguments::{
        Argument, Arguments, JsonBySerde, JsonOfReference, NoJson, NoText, Part, PartByReference,
        PartByText, PartByValue, TextByDisplay,
    };
    #[cfg(feature = "cache")]
    pub use crate::attributes::cache::codec::{CodecByMemory, CodecBySerde};
    #[cfg(feature = "cache")]
    pub use crate::attributes::cache::failure::{
        FailureByClone, FailureByError, FailureByMessage, NoFailure,
    };
    #[cfg(feature = "cache")]
    pub use crate::attributes::cache::flight::{Flight, Missed};
    #[cfg(feature = "cache")]
    pub use crate::attributes::cache::output::{CachedOk, CachedOutput, CachedWhole};
    #[cfg(feature = "cache")]
    pub use crate::attributes::cache::site::{CacheCall, CacheSite};
    #[cfg(feature = "cache")]
    pub use crate::attributes::cache::spec::CacheSpec;
    pub use crate::attributes::call_site::CallSite;
    pub use crate::attributes::cause::{
        Cause, CauseInBox, CauseInError, CauseInLocalBox, CauseInSendBox, CauseItself, NoCause,
        is_refusal,
    };
    pub use crate::attributes::circuit_breaker::{BreakerGuard, BreakerSite, BreakerSpec};
    pub use crate::attributes::concurrency::{ConcurrencySite, ConcurrencySpec};
    pub use crate::attributes::ending::Ending;
    pub use crate::attributes::fallback::{FallbackSite, FallbackSpec};
    #[cfg(feature = "testing")]
    pub use crate::attributes::fault::{FailAny, FailResult, FaultOfCall};
    pub use crate::attributes::into_arg::{UnitCost, cost, period};
    pub use crate::attributes::output::{WrapOther, WrapResult};
    pub use crate::attributes::output_type::OutputType;
    pub use crate::attributes::rejection::{BadArgumentOfAny, BadArgumentOfResult, panic_with};
    pub use crate::attributes::retry::{Attempts, RetrySite, RetrySpec, Strategy};
    pub use crate::attributes::site::Instance;
    pub use crate::attributes::throttle::{
        Admission, Settlement, SyncAdmission, ThrottlePart, ThrottleSite, ThrottleSpec, enter_all,
        enter_all_async, enter_all_to_settle, enter_all_to_settle_async, once,
    };
    pub use crate::attributes::timeout::{TimeoutSite, TimeoutSpec};
    pub use crate::key::subject::{KeyFast, KeyFormatted, NoKey};
}
