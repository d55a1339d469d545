//! Events, metrics and counts of the decisions of one limit.

use std::sync::Arc;
#[cfg(feature = "metrics")]
use std::sync::OnceLock;
use std::time::Duration;

#[cfg(feature = "dashboard")]
use super::counts::Counts;
use super::outcome::Outcome;
#[cfg(feature = "metrics")]
use super::registered::registered;
#[cfg(feature = "tracing")]
use crate::error::EscapedKey;
use crate::key::subject::Subject;
use crate::limit::algo::Algo;

/// Records the decisions of one limit.
#[derive(Debug)]
pub(crate) struct Telemetry {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    function: Arc<str>,
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    algo: Algo,
    #[cfg(feature = "tracing")]
    log_keys: bool,
    #[cfg(feature = "metrics")]
    metrics: OnceLock<LimitMetrics>,
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
            metrics: OnceLock::new(),
            #[cfg(feature = "dashboard")]
            counts: Counts::default(),
        }
    }

    /// Records a decision.
    #[inline]
    pub(crate) fn decided(&self, key: Option<&Subject<'_>>, outcome: Outcome) {
        let _ = (key, outcome);
        #[cfg(feature = "dashboard")]
        self.counts.count(key, outcome);
        #[cfg(feature = "metrics")]
        self.metrics().decided(outcome);
        #[cfg(feature = "tracing")]
        self.log(key, outcome);
    }

    /// Records how long a call waited until it was admitted.
    pub(crate) fn waited(&self, length: Duration) {
        let _ = length;
        #[cfg(feature = "metrics")]
        self.metrics().wait.record(length.as_secs_f64());
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "premier", function = &*self.function, ?length, "waited");
    }

    /// Records that a call waits.
    pub(crate) fn begins_to_wait(&self) {
        #[cfg(feature = "metrics")]
        self.metrics().waiting.increment(1.0);
    }

    /// Records that a call waits no longer.
    pub(crate) fn ceases_to_wait(&self) {
        #[cfg(feature = "metrics")]
        self.metrics().waiting.decrement(1.0);
    }

    #[cfg(feature = "tracing")]
    fn log(&self, key: Option<&Subject<'_>>, outcome: Outcome) {
        use tracing::{Level, event};

        macro_rules! log {
            ($level:expr) => {{
                if tracing::enabled!(target: "premier", $level) {
                    let decision = outcome.as_str();
                    let (function, algo) = (&*self.function, self.algo.as_str());
                    match key.filter(|_| self.log_keys) {
                        Some(key) => key.with_text(|key| {
                            event!(target: "premier", $level, function, algo, decision, key = %EscapedKey(key), "decided");
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

    /// Returns the metrics, which are registered at the first decision. An exporter installed later
    /// does not receive them.
    #[cfg(feature = "metrics")]
    fn metrics(&self) -> &LimitMetrics {
        registered(&self.metrics, || {
            LimitMetrics::new(&self.function, self.algo)
        })
    }
}

#[cfg(feature = "metrics")]
struct LimitMetrics {
    admitted: metrics::Counter,
    denied: metrics::Counter,
    #[cfg(feature = "tower")]
    shadow_denied: metrics::Counter,
    failed: metrics::Counter,
    wait: metrics::Histogram,
    waiting: metrics::Gauge,
}

#[cfg(feature = "metrics")]
impl LimitMetrics {
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
            waiting: metrics::gauge!("premier_waiting_calls", "function" => Arc::clone(function)),
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
impl std::fmt::Debug for LimitMetrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LimitMetrics")
            .finish_non_exhaustive()
    }
}
