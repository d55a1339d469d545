//! Events, metrics and counts of the decisions of one limit.

use std::sync::Arc;
#[cfg(feature = "metrics")]
use std::sync::OnceLock;
use std::time::Duration;

#[cfg(feature = "dashboard")]
use super::counts::Counts;
#[cfg(feature = "tracing")]
use super::decision_log::{DecisionLog, LoggedLimit};
#[cfg(feature = "metrics")]
use super::descriptions::describe;
#[cfg(feature = "metrics")]
use super::outcome::Failure;
use super::outcome::Outcome;
#[cfg(feature = "metrics")]
use super::registered::{count, registered};
use crate::key::subject::Subject;
use crate::limit::algo::Algo;

/// Records the decisions of one limit, whose name and store the limit passes: there may be many limits.
#[derive(Debug)]
pub(crate) struct Telemetry {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    algo: Algo,
    #[cfg(feature = "tracing")]
    log_keys: bool,
    #[cfg(feature = "metrics")]
    metrics: OnceLock<LimitMetrics>,
    #[cfg(feature = "tracing")]
    log: DecisionLog,
    #[cfg(feature = "dashboard")]
    pub(crate) counts: Counts,
}

impl Telemetry {
    pub(crate) fn new(algo: Algo, log_keys: bool) -> Self {
        let _ = (algo, log_keys);
        Self {
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            algo,
            #[cfg(feature = "tracing")]
            log_keys,
            #[cfg(feature = "metrics")]
            metrics: OnceLock::new(),
            #[cfg(feature = "tracing")]
            log: DecisionLog::default(),
            #[cfg(feature = "dashboard")]
            counts: Counts::default(),
        }
    }

    /// Registers the metrics of a limit, which begin at 0. No lock may be held. A recorder that is installed later does
    /// not receive its admissions and denials.
    pub(crate) fn register(&self, function: &Arc<str>, store: &'static str) {
        let _ = (function, store);
        #[cfg(feature = "metrics")]
        registered(&self.metrics, || {
            LimitMetrics::register(function, self.algo, store)
        });
    }

    /// Records a decision.
    #[inline]
    pub(crate) fn decided(
        &self,
        function: &Arc<str>,
        store: impl Fn() -> &'static str,
        key: Option<&Subject<'_>>,
        outcome: Outcome<'_>,
    ) {
        let _ = (function, &store, key, outcome);
        #[cfg(feature = "dashboard")]
        self.counts.count(key, outcome);
        #[cfg(feature = "metrics")]
        match (self.metrics.get(), outcome) {
            (Some(metrics), Outcome::Admitted) => metrics.admitted.increment(1),
            (Some(metrics), Outcome::Denied) => metrics.denied.increment(1),
            _ => count_rare(function, self.algo, store(), outcome),
        }
        #[cfg(feature = "tracing")]
        self.log.decided(
            &LoggedLimit {
                function,
                algo: self.algo,
                log_keys: self.log_keys,
            },
            key,
            outcome,
        );
    }

    /// Records how long a call waited until it was admitted.
    pub(crate) fn waited(&self, function: &Arc<str>, length: Duration) {
        let _ = (function, length);
        #[cfg(feature = "metrics")]
        waits(function).record(length.as_secs_f64());
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "premier", function = &**function, ?length, "waited");
    }

    /// Records that a call waits, or waits no longer.
    pub(crate) fn waits(&self, function: &Arc<str>, waits: bool) {
        let _ = (function, waits);
        #[cfg(feature = "metrics")]
        count(&waiting(function), waits);
    }
}

/// The counters of what is frequent.
#[cfg(feature = "metrics")]
#[derive(Debug)]
struct LimitMetrics {
    admitted: metrics::Counter,
    denied: metrics::Counter,
}

#[cfg(feature = "metrics")]
impl LimitMetrics {
    /// Registers all metrics of a limit.
    fn register(function: &Arc<str>, algo: Algo, store: &'static str) -> Self {
        describe();
        for failure in Failure::ALL {
            let _ = failures(function, algo, store, failure);
        }
        let _ = (waits(function), waiting(function));
        let counter = |decision| decisions(function, algo, store, decision);
        let _ = counter("error");
        #[cfg(feature = "tower")]
        let _ = counter("shadow_denied");
        Self {
            admitted: counter("admitted"),
            denied: counter("denied"),
        }
    }
}

#[cfg(feature = "metrics")]
#[cold]
fn count_rare(function: &Arc<str>, algo: Algo, store: &'static str, outcome: Outcome<'_>) {
    if let Outcome::Failed(error) = outcome {
        failures(function, algo, store, Failure::of(error)).increment(1);
    }
    decisions(function, algo, store, outcome.as_str()).increment(1);
}

#[cfg(feature = "metrics")]
fn decisions(
    function: &Arc<str>,
    algo: Algo,
    store: &'static str,
    decision: &'static str,
) -> metrics::Counter {
    metrics::counter!(
        "premier_decisions_total",
        "function" => Arc::clone(function),
        "algo" => algo.as_str(),
        "store" => store,
        "decision" => decision
    )
}

#[cfg(feature = "metrics")]
fn failures(
    function: &Arc<str>,
    algo: Algo,
    store: &'static str,
    failure: Failure,
) -> metrics::Counter {
    metrics::counter!(
        "premier_decision_errors_total",
        "function" => Arc::clone(function),
        "algo" => algo.as_str(),
        "store" => store,
        "reason" => failure.as_str()
    )
}

#[cfg(feature = "metrics")]
fn waits(function: &Arc<str>) -> metrics::Histogram {
    metrics::histogram!("premier_wait_seconds", "function" => Arc::clone(function))
}

#[cfg(feature = "metrics")]
fn waiting(function: &Arc<str>) -> metrics::Gauge {
    metrics::gauge!("premier_waiting_calls", "function" => Arc::clone(function))
}
