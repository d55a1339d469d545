//! Events and metrics of retries, timeouts, circuit breakers and stores.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "metrics")]
use super::descriptions::describe;
#[cfg(feature = "metrics")]
use super::registered::show_latest;
use crate::error::Error;
#[cfg(feature = "tracing")]
use crate::error::EscapedKey;

/// An event of a function's calls that has a counter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted {
    Retries,
    Timeouts,
    Fallbacks,
    /// Calls that an open circuit has rejected.
    OpenCircuit,
    /// Calls that were rejected because all permits are in use.
    NoPermit,
    /// Requests that were rejected because they lack what their key needs.
    #[cfg(feature = "tower")]
    NoKey,
}

impl Counted {
    /// Registers the counter of a function, which begins at 0.
    pub(crate) fn register(self, function: &Arc<str>) {
        let _ = function;
        #[cfg(feature = "metrics")]
        {
            describe();
            let _ = self.counter(function);
        }
    }

    /// Counts a call.
    pub(crate) fn count(self, function: &Arc<str>) {
        let _ = function;
        #[cfg(feature = "metrics")]
        self.counter(function).increment(1);
    }

    #[cfg(feature = "metrics")]
    fn counter(self, function: &Arc<str>) -> metrics::Counter {
        let function = Arc::clone(function);
        let rejected = |function, by: &'static str| metrics::counter!("premier_rejected_calls_total", "function" => function, "by" => by);
        match self {
            Self::Retries => metrics::counter!("premier_retries_total", "function" => function),
            Self::Timeouts => metrics::counter!("premier_timeouts_total", "function" => function),
            Self::Fallbacks => metrics::counter!("premier_fallbacks_total", "function" => function),
            Self::OpenCircuit => rejected(function, "circuit_breaker"),
            Self::NoPermit => rejected(function, "concurrency"),
            #[cfg(feature = "tower")]
            Self::NoKey => rejected(function, "missing_key"),
        }
    }
}

/// Records that an attempt failed and the next one follows after `delay`.
pub(crate) fn retried(function: &Arc<str>, attempt: u32, delay: Duration) {
    let _ = (attempt, delay);
    Counted::Retries.count(function);
    #[cfg(feature = "dashboard")]
    super::retries::count(function);
    #[cfg(feature = "tracing")]
    tracing::info!(target: "premier", function = &**function, attempt, ?delay, "retries");
}

/// Records that a call returns the value of its fallback.
pub(crate) fn fell_back(function: &Arc<str>) {
    Counted::Fallbacks.count(function);
    #[cfg(feature = "tracing")]
    tracing::info!(target: "premier", function = &**function, "falls back");
}

/// Records that a call did not finish within its timeout, `after`.
pub(crate) fn timed_out(function: &Arc<str>, after: Duration) {
    let _ = after;
    Counted::Timeouts.count(function);
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

impl BreakerState {
    #[cfg(feature = "metrics")]
    const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    #[cfg(any(feature = "metrics", feature = "tracing", feature = "dashboard"))]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// Registers the metrics of a closed breaker. A breaker with keys has many circuits, so its metrics are the numbers
/// of circuits in each state.
pub(crate) fn register_breaker(function: &Arc<str>, has_keys: bool) {
    let _ = has_keys;
    Counted::OpenCircuit.register(function);
    #[cfg(feature = "metrics")]
    {
        for state in BreakerState::ALL {
            let _ = breaker_changes(function, state);
        }
        match has_keys {
            true => set_breaker_keys(function, KeysByState::default()),
            false => set_breaker_state(function, BreakerState::Closed),
        }
    }
}

#[cfg(feature = "metrics")]
fn breaker_changes(function: &Arc<str>, to: BreakerState) -> metrics::Counter {
    metrics::counter!("premier_breaker_changes_total", "function" => Arc::clone(function), "to" => to.as_str())
}

#[cfg(feature = "metrics")]
fn set_breaker_state(function: &Arc<str>, current: BreakerState) {
    for state in BreakerState::ALL {
        metrics::gauge!("premier_breaker_state", "function" => Arc::clone(function), "state" => state.as_str())
            .set(if state == current { 1.0 } else { 0.0 });
    }
}

/// How many keys of a breaker have a circuit that is not closed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct KeysByState {
    pub(crate) half_open: u64,
    pub(crate) open: u64,
}

#[cfg(feature = "metrics")]
#[expect(clippy::cast_precision_loss, reason = "there are no 2^52 keys")]
fn set_breaker_keys(function: &Arc<str>, keys: KeysByState) {
    let counts = [
        (BreakerState::HalfOpen, keys.half_open),
        (BreakerState::Open, keys.open),
    ];
    for (state, count) in counts {
        metrics::gauge!("premier_breaker_keys", "function" => Arc::clone(function), "state" => state.as_str())
            .set(count as f64);
    }
}

/// Records the state of a breaker without keys, which `current` returns. It may change meanwhile.
pub(crate) fn breaker_state(function: &Arc<str>, current: impl Fn() -> BreakerState) {
    let _ = (function, &current);
    #[cfg(feature = "metrics")]
    show_latest(current, |state| set_breaker_state(function, *state));
}

/// Records how many keys of a breaker are in each state, which `current` returns. It may change meanwhile.
pub(crate) fn breaker_keys(function: &Arc<str>, current: impl Fn() -> KeysByState) {
    let _ = (function, &current);
    #[cfg(feature = "metrics")]
    show_latest(current, |keys| set_breaker_keys(function, *keys));
}

/// Records that a circuit changed to `state`.
pub(crate) fn breaker_changed(
    function: &Arc<str>,
    key: Option<&str>,
    log_keys: bool,
    state: BreakerState,
) {
    let _ = (function, key, log_keys, state);
    #[cfg(feature = "metrics")]
    breaker_changes(function, state).increment(1);
    #[cfg(feature = "tracing")]
    {
        let to = state.as_str();
        match key.filter(|_| log_keys) {
            Some(key) => {
                tracing::warn!(target: "premier", function = &**function, key = %EscapedKey(key), to, "the circuit breaker changed");
            }
            None => {
                tracing::warn!(target: "premier", function = &**function, to, "the circuit breaker changed");
            }
        }
    }
}

/// Registers the metrics of a store outside of the process, and those of the policy for its outages.
pub(crate) fn register_store(store: &'static str, policy: &'static str) {
    let _ = (store, policy);
    #[cfg(feature = "metrics")]
    {
        describe();
        let _ = (backend_seconds(store, true), backend_seconds(store, false));
        let _ = outage_decisions(store, policy);
    }
}

#[cfg(feature = "metrics")]
fn backend_seconds(store: &'static str, is_ok: bool) -> metrics::Histogram {
    let outcome = if is_ok { "ok" } else { "error" };
    metrics::histogram!("premier_backend_seconds", "store" => store, "outcome" => outcome)
}

#[cfg(feature = "metrics")]
fn outage_decisions(store: &'static str, policy: &'static str) -> metrics::Counter {
    metrics::counter!("premier_outage_decisions_total", "store" => store, "policy" => policy)
}

/// Records that an outage policy decided a call instead of the store.
pub(crate) fn outage_decision(store: &'static str, policy: &'static str) {
    let _ = (store, policy);
    #[cfg(feature = "metrics")]
    outage_decisions(store, policy).increment(1);
}

/// Records whether a server of the store can be reached.
#[cfg(feature = "redis")]
pub(crate) fn record_backend_up(store: &'static str, server: &Arc<str>, up: bool) {
    let _ = (store, server, up);
    #[cfg(feature = "metrics")]
    {
        describe();
        metrics::gauge!("premier_backend_up", "store" => store, "server" => Arc::clone(server))
            .set(f64::from(u8::from(up)));
    }
}

/// Measures the duration of a call to a store.
#[derive(Debug)]
pub(crate) struct Timer {
    #[cfg(feature = "metrics")]
    store: &'static str,
    #[cfg(feature = "metrics")]
    since: std::time::Instant,
}

impl Timer {
    pub(crate) fn start(store: &'static str) -> Self {
        let _ = store;
        Self {
            #[cfg(feature = "metrics")]
            store,
            #[cfg(feature = "metrics")]
            since: std::time::Instant::now(),
        }
    }

    pub(crate) fn stop<T>(self, result: &Result<T, Error>) {
        let _ = result;
        #[cfg(feature = "metrics")]
        backend_seconds(self.store, result.is_ok()).record(self.since.elapsed().as_secs_f64());
    }
}
