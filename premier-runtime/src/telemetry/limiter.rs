//! Events, metrics and counts of the decisions of one limit.

use std::sync::Arc;
#[cfg(feature = "metrics")]
use std::sync::OnceLock;
use std::time::Duration;

#[cfg(feature = "dashboard")]
use super::counts::Counts;
#[cfg(feature = "tracing")]
use super::decision_log::DecisionLog;
#[cfg(feature = "metrics")]
use super::descriptions::describe;
use super::outcome::Outcome;
#[cfg(feature = "metrics")]
use super::{outcome::Failure, registered::registered};
use crate::key::subject::Subject;
use crate::limit::algo::Algo;

/// Records the decisions of one limit.
#[derive(Debug)]
pub(crate) struct Telemetry {
    #[cfg(feature = "metrics")]
    labels: Labels,
    #[cfg(feature = "metrics")]
    metrics: OnceLock<LimitMetrics>,
    #[cfg(feature = "tracing")]
    log: DecisionLog,
    #[cfg(feature = "dashboard")]
    pub(crate) counts: Counts,
}

impl Telemetry {
    /// That of a limit which this store keeps.
    pub(crate) fn new(
        function: &Arc<str>,
        algo: Algo,
        store: &'static str,
        log_keys: bool,
    ) -> Self {
        let _ = (function, algo, store, log_keys);
        Self {
            #[cfg(feature = "metrics")]
            labels: Labels {
                function: Arc::clone(function),
                algo,
                store,
            },
            #[cfg(feature = "metrics")]
            metrics: OnceLock::new(),
            #[cfg(feature = "tracing")]
            log: DecisionLog::new(function, algo, log_keys),
            #[cfg(feature = "dashboard")]
            counts: Counts::default(),
        }
    }

    /// Registers the metrics, which begin at 0. No lock may be held.
    pub(crate) fn register(&self) {
        #[cfg(feature = "metrics")]
        let _ = self.metrics();
    }

    /// Records a decision.
    #[inline]
    pub(crate) fn decided(&self, key: Option<&Subject<'_>>, outcome: Outcome<'_>) {
        let _ = (key, outcome);
        #[cfg(feature = "dashboard")]
        self.counts.count(key, outcome);
        #[cfg(feature = "metrics")]
        self.metrics().decided(outcome);
        #[cfg(feature = "tracing")]
        self.log.decided(key, outcome);
    }

    /// Records how long a call waited until it was admitted.
    pub(crate) fn waited(&self, length: Duration) {
        let _ = length;
        #[cfg(feature = "metrics")]
        self.metrics().wait.record(length.as_secs_f64());
        #[cfg(feature = "tracing")]
        self.log.waited(length);
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

    /// Returns the metrics. A recorder that is installed after they were registered does not receive them.
    #[cfg(feature = "metrics")]
    fn metrics(&self) -> &LimitMetrics {
        registered(&self.metrics, || LimitMetrics::new(&self.labels))
    }
}

/// The labels of a limit.
#[cfg(feature = "metrics")]
#[derive(Debug)]
struct Labels {
    function: Arc<str>,
    algo: Algo,
    store: &'static str,
}

#[cfg(feature = "metrics")]
#[derive(Debug)]
struct LimitMetrics {
    admitted: metrics::Counter,
    denied: metrics::Counter,
    #[cfg(feature = "tower")]
    shadow_denied: metrics::Counter,
    failed: metrics::Counter,
    /// In the order of [`Failure::ALL`].
    failures: [metrics::Counter; Failure::ALL.len()],
    wait: metrics::Histogram,
    waiting: metrics::Gauge,
}

#[cfg(feature = "metrics")]
impl LimitMetrics {
    fn new(labels: &Labels) -> Self {
        describe();
        let Labels {
            function,
            algo,
            store,
        } = labels;
        let counter = |decision: &'static str| {
            metrics::counter!(
                "premier_decisions_total",
                "function" => Arc::clone(function),
                "algo" => algo.as_str(),
                "store" => *store,
                "decision" => decision
            )
        };
        let failures = Failure::ALL.map(|failure| {
            metrics::counter!(
                "premier_decision_errors_total",
                "function" => Arc::clone(function),
                "algo" => algo.as_str(),
                "store" => *store,
                "reason" => failure.as_str()
            )
        });
        Self {
            admitted: counter("admitted"),
            denied: counter("denied"),
            #[cfg(feature = "tower")]
            shadow_denied: counter("shadow_denied"),
            failed: counter("error"),
            failures,
            wait: metrics::histogram!("premier_wait_seconds", "function" => Arc::clone(function)),
            waiting: metrics::gauge!("premier_waiting_calls", "function" => Arc::clone(function)),
        }
    }

    #[inline]
    fn decided(&self, outcome: Outcome<'_>) {
        match outcome {
            Outcome::Admitted => &self.admitted,
            Outcome::Denied => &self.denied,
            #[cfg(feature = "tower")]
            Outcome::ShadowDenied => &self.shadow_denied,
            Outcome::Failed(error) => {
                self.failures[Failure::of(error) as usize].increment(1);
                &self.failed
            }
        }
        .increment(1);
    }
}
