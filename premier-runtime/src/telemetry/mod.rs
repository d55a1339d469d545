//! What others are told of what happens: events for `tracing`, numbers for `metrics`, counts for
//! the dashboard. Without one of these features nothing of it is compiled into a call.
//!
//! Numbers never carry a key, whose number has no bound; events carry it only where
//! [`Config::log_keys`](crate::Config::log_keys) says so, for it may be personal.

#[cfg(feature = "dashboard")]
pub(crate) mod counts;

use std::sync::Arc;
#[cfg(feature = "metrics")]
use std::sync::OnceLock;
use std::time::Duration;

#[cfg(feature = "dashboard")]
use self::counts::Counts;
use crate::error::Error;
use crate::key::subject::Subject;
use crate::limit::algo::Algo;

/// What became of a question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Admitted,
    Denied,
    /// It would have been denied, if somebody did more than look on.
    #[cfg(feature = "tower")]
    ShadowDenied,
    /// Nobody could decide.
    Failed,
}

impl Outcome {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Denied => "denied",
            #[cfg(feature = "tower")]
            Self::ShadowDenied => "shadow_denied",
            Self::Failed => "error",
        }
    }

    /// Of a decision that denies, or an error.
    #[inline]
    pub(crate) fn of(result: Result<bool, &Error>) -> Self {
        match result {
            Ok(true) => Self::Admitted,
            Ok(false) | Err(Error::QuotaExceeded { .. } | Error::BucketFull { .. }) => Self::Denied,
            Err(_) => Self::Failed,
        }
    }
}

/// What is told of one limit.
#[derive(Debug)]
pub(crate) struct Telemetry {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    function: Arc<str>,
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    algo: Algo,
    #[cfg(feature = "tracing")]
    log_keys: bool,
    #[cfg(feature = "metrics")]
    numbers: OnceLock<Numbers>,
    #[cfg(feature = "dashboard")]
    pub(crate) counts: Counts,
}

impl Telemetry {
    pub(crate) fn new(function: &Arc<str>, algo: Algo, log_keys: bool) -> Self {
        #[cfg(not(feature = "tracing"))]
        let _ = log_keys;
        #[cfg(not(any(feature = "metrics", feature = "tracing")))]
        let _ = (function, algo);
        Self {
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            function: Arc::clone(function),
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            algo,
            #[cfg(feature = "tracing")]
            log_keys,
            #[cfg(feature = "metrics")]
            numbers: OnceLock::new(),
            #[cfg(feature = "dashboard")]
            counts: Counts::default(),
        }
    }

    /// Tells of a decision.
    #[inline]
    pub(crate) fn decided(&self, user: Option<Subject<'_>>, outcome: Outcome) {
        let _ = (user, outcome);
        #[cfg(feature = "dashboard")]
        self.counts.count(user, outcome);
        #[cfg(feature = "metrics")]
        self.numbers().decided(outcome);
        #[cfg(feature = "tracing")]
        self.log(user, outcome);
    }

    /// Tells how long a call has waited to be admitted.
    pub(crate) fn waited(&self, length: Duration) {
        let _ = length;
        #[cfg(feature = "metrics")]
        self.numbers().wait.record(length.as_secs_f64());
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "premier", function = &*self.function, ?length, "waited");
    }

    #[cfg(feature = "tracing")]
    fn log(&self, user: Option<Subject<'_>>, outcome: Outcome) {
        use tracing::{Level, event};

        macro_rules! log {
            ($level:expr) => {{
                if tracing::enabled!(target: "premier", $level) {
                    let decision = outcome.as_str();
                    let (function, algo) = (&*self.function, self.algo.as_str());
                    match user.filter(|_| self.log_keys) {
                        Some(user) => user.with_text(|key| {
                            event!(target: "premier", $level, function, algo, decision, key = %crate::error::Shown(key), "decided");
                        }),
                        None => event!(target: "premier", $level, function, algo, decision, "decided"),
                    }
                }
            }};
        }
        match outcome {
            Outcome::Admitted => log!(Level::TRACE),
            Outcome::Failed => log!(Level::WARN),
            _ => log!(Level::INFO),
        }
    }

    /// Found once, at the first decision: an exporter that is installed later hears nothing.
    #[cfg(feature = "metrics")]
    fn numbers(&self) -> &Numbers {
        self.numbers
            .get_or_init(|| Numbers::new(&self.function, self.algo))
    }
}

#[cfg(feature = "metrics")]
struct Numbers {
    admitted: metrics::Counter,
    denied: metrics::Counter,
    #[cfg(feature = "tower")]
    shadow_denied: metrics::Counter,
    failed: metrics::Counter,
    wait: metrics::Histogram,
}

#[cfg(feature = "metrics")]
impl Numbers {
    fn new(function: &Arc<str>, algo: Algo) -> Self {
        let counter = |outcome: Outcome| {
            metrics::counter!(
                "premier_decisions_total",
                "function" => Arc::clone(function),
                "algo" => algo.as_str(),
                "decision" => outcome.as_str()
            )
        };
        Self {
            admitted: counter(Outcome::Admitted),
            denied: counter(Outcome::Denied),
            #[cfg(feature = "tower")]
            shadow_denied: counter(Outcome::ShadowDenied),
            failed: counter(Outcome::Failed),
            wait: metrics::histogram!("premier_wait_seconds", "function" => Arc::clone(function)),
        }
    }

    #[inline]
    fn decided(&self, outcome: Outcome) {
        match outcome {
            Outcome::Admitted => &self.admitted,
            Outcome::Denied => &self.denied,
            #[cfg(feature = "tower")]
            Outcome::ShadowDenied => &self.shadow_denied,
            Outcome::Failed => &self.failed,
        }
        .increment(1);
    }
}

#[cfg(feature = "metrics")]
impl std::fmt::Debug for Numbers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Numbers").finish_non_exhaustive()
    }
}

/// An attempt has failed and another is to come.
pub(crate) fn retried(function: &Arc<str>, attempt: u32, delay: Duration) {
    let _ = (function, attempt, delay);
    #[cfg(feature = "metrics")]
    metrics::counter!("premier_retries_total", "function" => Arc::clone(function)).increment(1);
    #[cfg(feature = "tracing")]
    tracing::info!(target: "premier", function = &**function, attempt, ?delay, "retries");
}

/// A call took too long.
pub(crate) fn timed_out(function: &Arc<str>, after: Duration) {
    let _ = (function, after);
    #[cfg(feature = "metrics")]
    metrics::counter!("premier_timeouts_total", "function" => Arc::clone(function)).increment(1);
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "premier", function = &**function, ?after, "timed out");
}

/// In which state a breaker is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BreakerState {
    Closed,
    HalfOpen,
    Open,
}

/// A breaker has changed.
pub(crate) fn breaker(function: &Arc<str>, state: BreakerState) {
    let _ = (function, state);
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    let (name, number) = match state {
        BreakerState::Closed => ("closed", 0.0),
        BreakerState::HalfOpen => ("half_open", 1.0),
        BreakerState::Open => ("open", 2.0),
    };
    #[cfg(feature = "metrics")]
    {
        metrics::gauge!("premier_breaker_state", "function" => Arc::clone(function)).set(number);
        metrics::counter!("premier_breaker_changes_total", "function" => Arc::clone(function), "to" => name)
            .increment(1);
    }
    #[cfg(all(feature = "tracing", not(feature = "metrics")))]
    let _ = number;
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "premier", function = &**function, to = name, "the circuit breaker changed");
}

/// How often a cache had a value at hand.
#[cfg(feature = "cache")]
#[derive(Default)]
pub(crate) struct Lookups {
    #[cfg(feature = "metrics")]
    numbers: OnceLock<[metrics::Counter; 2]>,
}

#[cfg(feature = "cache")]
impl Lookups {
    /// A value was at hand, or had to be made.
    #[inline]
    pub(crate) fn count(&self, cache: &Arc<str>, hit: bool) {
        let _ = (cache, hit);
        #[cfg(feature = "metrics")]
        {
            let counter = |outcome: &'static str| metrics::counter!("premier_cache_lookups_total", "function" => Arc::clone(cache), "outcome" => outcome);
            let numbers = self
                .numbers
                .get_or_init(|| [counter("miss"), counter("hit")]);
            numbers[usize::from(hit)].increment(1);
        }
        #[cfg(feature = "tracing")]
        tracing::trace!(target: "premier", function = &**cache, hit, "looked up");
    }
}

/// A policy has decided for a store that could not.
pub(crate) fn outage_decision(policy: &'static str) {
    let _ = policy;
    #[cfg(feature = "metrics")]
    metrics::counter!("premier_outage_decisions_total", "policy" => policy).increment(1);
}

/// A store is reachable, or is not.
#[cfg(feature = "redis")]
pub(crate) fn backend_is(up: bool) {
    let _ = up;
    #[cfg(feature = "metrics")]
    metrics::gauge!("premier_backend_up").set(f64::from(u8::from(up)));
}

/// Measures how long a store takes.
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
