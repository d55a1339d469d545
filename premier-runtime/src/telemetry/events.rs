//! Events and metrics of retries, timeouts, circuit breakers, caches and stores.

use std::sync::Arc;
#[cfg(all(feature = "metrics", feature = "cache"))]
use std::sync::OnceLock;
use std::time::Duration;

#[cfg(all(feature = "metrics", feature = "cache"))]
use super::registered::registered;
use crate::error::Error;
#[cfg(feature = "tracing")]
use crate::error::EscapedKey;

/// Records that an attempt failed and the next one follows after `delay`.
pub(crate) fn retried(function: &Arc<str>, attempt: u32, delay: Duration) {
    let _ = (function, attempt, delay);
    #[cfg(feature = "metrics")]
    metrics::counter!("premier_retries_total", "function" => Arc::clone(function)).increment(1);
    #[cfg(feature = "tracing")]
    tracing::info!(target: "premier", function = &**function, attempt, ?delay, "retries");
}

/// Records that a call returns the value of its fallback.
pub(crate) fn fell_back(function: &Arc<str>) {
    let _ = function;
    #[cfg(feature = "metrics")]
    metrics::counter!("premier_fallbacks_total", "function" => Arc::clone(function)).increment(1);
    #[cfg(feature = "tracing")]
    tracing::info!(target: "premier", function = &**function, "falls back");
}

/// Records that a call did not finish within its timeout, `after`.
pub(crate) fn timed_out(function: &Arc<str>, after: Duration) {
    let _ = (function, after);
    #[cfg(feature = "metrics")]
    metrics::counter!("premier_timeouts_total", "function" => Arc::clone(function)).increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "premier", function = &**function, ?after, "timed out");
}

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BreakerState {
    Closed,
    HalfOpen,
    Open,
}

/// Records that a call waits for a permit, or waits no longer.
pub(crate) fn call_waits(function: &Arc<str>, waits: bool) {
    let _ = (function, waits);
    #[cfg(feature = "metrics")]
    metrics::gauge!("premier_waiting_calls", "function" => Arc::clone(function))
        .increment(if waits { 1.0 } else { -1.0 });
}

/// Records that a circuit changed to `state`. The gauge is of breakers without keys only: there is no one
/// state of many circuits.
pub(crate) fn breaker(function: &Arc<str>, key: Option<&str>, log_keys: bool, state: BreakerState) {
    let _ = (function, key, log_keys, state);
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    let (name, number) = match state {
        BreakerState::Closed => ("closed", 0.0),
        BreakerState::HalfOpen => ("half_open", 1.0),
        BreakerState::Open => ("open", 2.0),
    };
    #[cfg(feature = "metrics")]
    {
        if key.is_none() {
            metrics::gauge!("premier_breaker_state", "function" => Arc::clone(function))
                .set(number);
        }
        metrics::counter!("premier_breaker_changes_total", "function" => Arc::clone(function), "to" => name)
            .increment(1);
    }
    #[cfg(all(feature = "tracing", not(feature = "metrics")))]
    let _ = number;
    #[cfg(feature = "tracing")]
    match key.filter(|_| log_keys) {
        Some(key) => {
            tracing::warn!(target: "premier", function = &**function, key = %EscapedKey(key), to = name, "the circuit breaker changed");
        }
        None => {
            tracing::warn!(target: "premier", function = &**function, to = name, "the circuit breaker changed");
        }
    }
}

/// Counts the hits and misses of a cache.
#[cfg(feature = "cache")]
#[derive(Default)]
pub(crate) struct Lookups {
    #[cfg(feature = "metrics")]
    counters: OnceLock<[metrics::Counter; 2]>,
}

#[cfg(feature = "cache")]
impl Lookups {
    /// Records a look-up, which was a hit or a miss.
    #[inline]
    pub(crate) fn count(&self, cache: &Arc<str>, hit: bool) {
        let _ = (cache, hit);
        #[cfg(feature = "metrics")]
        {
            let counter = |outcome: &'static str| metrics::counter!("premier_cache_lookups_total", "function" => Arc::clone(cache), "outcome" => outcome);
            let counters = registered(&self.counters, || [counter("miss"), counter("hit")]);
            counters[usize::from(hit)].increment(1);
        }
        #[cfg(feature = "tracing")]
        tracing::trace!(target: "premier", function = &**cache, hit, "looked up");
    }
}

/// Records that an outage policy decided a call instead of the store.
pub(crate) fn outage_decision(policy: &'static str) {
    let _ = policy;
    #[cfg(feature = "metrics")]
    metrics::counter!("premier_outage_decisions_total", "policy" => policy).increment(1);
}

/// Records whether the store can be reached.
#[cfg(feature = "redis")]
pub(crate) fn record_backend_up(up: bool) {
    let _ = up;
    #[cfg(feature = "metrics")]
    metrics::gauge!("premier_backend_up").set(f64::from(u8::from(up)));
}

/// Measures the duration of a call to a store.
#[derive(Debug)]
pub(crate) struct Timer {
    #[cfg(feature = "metrics")]
    since: std::time::Instant,
}

impl Timer {
    pub(crate) fn start() -> Self {
        Self {
            #[cfg(feature = "metrics")]
            since: std::time::Instant::now(),
        }
    }

    pub(crate) fn stop<T>(self, result: &Result<T, Error>) {
        let _ = result;
        #[cfg(feature = "metrics")]
        metrics::histogram!(
            "premier_backend_seconds",
            "outcome" => if result.is_ok() { "ok" } else { "error" }
        )
        .record(self.since.elapsed().as_secs_f64());
    }
}
