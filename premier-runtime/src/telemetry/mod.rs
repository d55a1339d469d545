//! `tracing` events, `metrics` and the counts of the dashboard. Each is compiled in only with its
//! feature.
//!
//! Metrics have no key label, because the number of keys is unbounded. Events contain the key only
//! with [`Config::log_keys`](crate::Config::log_keys), because it may be personal data.

#[cfg(feature = "dashboard")]
pub(crate) mod counts;
mod events;
mod limiter;
mod outcome;
#[cfg(feature = "metrics")]
mod registered;

#[cfg(feature = "cache")]
pub(crate) use self::events::Lookups;
#[cfg(feature = "redis")]
pub(crate) use self::events::record_backend_up;
pub(crate) use self::events::{
    BreakerState, Timer, breaker, call_waits, fell_back, outage_decision, retried, timed_out,
};
pub(crate) use self::limiter::Telemetry;
pub(crate) use self::outcome::Outcome;
