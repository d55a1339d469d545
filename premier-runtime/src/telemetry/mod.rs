//! `tracing` events, `metrics` and the counts of the dashboard. Each is compiled in only with its
//! feature.
//!
//! Metrics have no key label, because the number of keys is unbounded. Events contain the key only
//! with [`Config::log_keys`](crate::Config::log_keys), because it may be personal data.

#[cfg(feature = "cache")]
mod caches;
#[cfg_attr(
    not(feature = "tower"),
    expect(dead_code, reason = "only layers collect decisions")
)]
pub(crate) mod collector;
#[cfg(feature = "dashboard")]
pub(crate) mod counts;
#[cfg(feature = "tracing")]
mod decision_log;
#[cfg(feature = "metrics")]
mod descriptions;
mod events;
mod keys;
mod limiter;
#[cfg(feature = "limits-file")]
mod limits_file;
mod outcome;
mod permits;
#[cfg(feature = "metrics")]
mod registered;
#[cfg(feature = "dashboard")]
mod retries;
#[cfg(feature = "tracing")]
mod summaries;

#[cfg(feature = "cache")]
pub(crate) use self::caches::CacheTelemetry;
#[cfg(feature = "redis")]
pub(crate) use self::events::record_backend_up;
pub(crate) use self::events::{
    BreakerState, Counted, KeysByState, Timer, breaker_changed, breaker_keys, breaker_state,
    fell_back, outage_decision, register_breaker, register_store, retried, timed_out,
};
pub(crate) use self::keys::KeyTelemetry;
pub(crate) use self::limiter::Telemetry;
#[cfg(feature = "limits-file")]
pub(crate) use self::limits_file::record_limits_file;
pub(crate) use self::outcome::Outcome;
pub(crate) use self::permits::PermitTelemetry;
#[cfg(feature = "dashboard")]
pub(crate) use self::retries::retries;
