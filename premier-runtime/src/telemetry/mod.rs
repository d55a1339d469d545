//! Events for `tracing`, numbers for `metrics`, counts for the dashboard. Without one of these features
//! nothing of it is compiled into a call.
//!
//! Numbers never carry a key, because the number of keys has no bound; events carry it only under
//! [`Config::log_keys`](crate::Config::log_keys), because it may be personal.

#[cfg(feature = "dashboard")]
pub(crate) mod counts;
mod events;
mod limiter;
mod outcome;

#[cfg(feature = "cache")]
pub(crate) use self::events::Lookups;
#[cfg(feature = "redis")]
pub(crate) use self::events::record_backend_up;
pub(crate) use self::events::{BreakerState, Timer, breaker, outage_decision, retried, timed_out};
pub(crate) use self::limiter::Telemetry;
pub(crate) use self::outcome::Outcome;
