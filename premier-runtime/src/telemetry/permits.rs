//! Metrics of the permits of one function.

use std::sync::Arc;
#[cfg(feature = "metrics")]
use std::sync::OnceLock;
#[cfg(feature = "dashboard")]
use std::sync::atomic::{AtomicU64, Ordering};

use super::events::Counted;
#[cfg(feature = "metrics")]
use super::registered::{count, registered};

/// Records the permits of one function.
#[derive(Debug)]
pub(crate) struct PermitTelemetry {
    function: Arc<str>,
    #[cfg(feature = "metrics")]
    metrics: OnceLock<PermitMetrics>,
    #[cfg(feature = "dashboard")]
    in_use: AtomicU64,
}

#[cfg(feature = "metrics")]
#[derive(Debug)]
struct PermitMetrics {
    in_use: metrics::Gauge,
    waiting: metrics::Gauge,
}

impl PermitTelemetry {
    pub(crate) fn new(function: &Arc<str>) -> Self {
        Self {
            function: Arc::clone(function),
            #[cfg(feature = "metrics")]
            metrics: OnceLock::new(),
            #[cfg(feature = "dashboard")]
            in_use: AtomicU64::new(0),
        }
    }

    /// How many calls have a permit.
    #[cfg(feature = "dashboard")]
    pub(crate) fn in_use(&self) -> u64 {
        self.in_use.load(Ordering::Relaxed)
    }

    /// Registers the metrics of a function of which `limit` calls may run at a time.
    pub(crate) fn register(&self, limit: u64) {
        let _ = limit;
        Counted::NoPermit.register(&self.function);
        #[cfg(feature = "metrics")]
        {
            let _ = self.metrics();
            metrics::gauge!("premier_permits", "function" => Arc::clone(&self.function))
                .set(limit as f64);
        }
    }

    /// Records that a call holds a permit, or has released it.
    pub(crate) fn holds(&self, holds: bool) {
        let _ = holds;
        #[cfg(feature = "dashboard")]
        match holds {
            true => self.in_use.fetch_add(1, Ordering::Relaxed),
            false => self.in_use.fetch_sub(1, Ordering::Relaxed),
        };
        #[cfg(feature = "metrics")]
        count(&self.metrics().in_use, holds);
    }

    /// Records that a call waits for a permit, or waits no longer.
    pub(crate) fn waits(&self, waits: bool) {
        let _ = waits;
        #[cfg(feature = "metrics")]
        count(&self.metrics().waiting, waits);
    }

    /// Records that a call got no permit.
    pub(crate) fn rejected(&self) {
        Counted::NoPermit.count(&self.function);
    }

    #[cfg(feature = "metrics")]
    fn metrics(&self) -> &PermitMetrics {
        registered(&self.metrics, || {
            let function = || Arc::clone(&self.function);
            PermitMetrics {
                in_use: metrics::gauge!("premier_permits_in_use", "function" => function()),
                waiting: metrics::gauge!("premier_waiting_calls", "function" => function()),
            }
        })
    }
}
