//! Metrics of the keys of one limit in memory.

#[cfg(feature = "metrics")]
use std::sync::OnceLock;
#[cfg(feature = "metrics")]
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(feature = "metrics")]
use super::descriptions::describe;
#[cfg(feature = "metrics")]
use super::registered::{registered, show_latest};

/// Records the keys of one limit. Until it is registered it records nothing.
#[derive(Debug, Default)]
pub(crate) struct KeyTelemetry {
    #[cfg(feature = "metrics")]
    metrics: OnceLock<KeyMetrics>,
    /// The number that was recorded last.
    #[cfg(feature = "metrics")]
    shown: AtomicUsize,
}

#[cfg(feature = "metrics")]
#[derive(Debug)]
struct KeyMetrics {
    keys: metrics::Gauge,
    evictions: metrics::Counter,
}

impl KeyTelemetry {
    /// Registers the metrics. `prefix` is that of the keys: `{keyspace}:{function}:{algo}`.
    pub(crate) fn register(&self, prefix: &str) {
        let _ = prefix;
        #[cfg(feature = "metrics")]
        registered(&self.metrics, || {
            describe();
            let name = prefix.split_once(':').map_or(prefix, |(_, name)| name);
            let (function, algo) = name.rsplit_once(':').unwrap_or((name, ""));
            let labels = [("function", function.to_owned()), ("algo", algo.to_owned())];
            KeyMetrics {
                keys: metrics::gauge!("premier_keys", &labels),
                evictions: metrics::counter!("premier_key_evictions_total", &labels),
            }
        });
    }

    /// Records the number of keys if it has changed, and how many idle ones were removed. No lock may be held.
    pub(crate) fn changed(&self, keys: impl Fn() -> usize, evicted: usize) {
        let _ = (&keys, evicted);
        #[cfg(feature = "metrics")]
        if let Some(metrics) = self.metrics.get() {
            if evicted > 0 {
                metrics.evictions.increment(evicted as u64);
            }
            if self.shown.load(Ordering::Relaxed) != keys() {
                show_latest(keys, |keys| {
                    self.shown.store(*keys, Ordering::Relaxed);
                    metrics.keys.set(*keys as f64);
                });
            }
        }
    }
}
