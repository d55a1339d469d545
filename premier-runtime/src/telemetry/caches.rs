//! Events and metrics of one cache.

use std::sync::Arc;
#[cfg(feature = "metrics")]
use std::sync::OnceLock;

#[cfg(feature = "metrics")]
use super::descriptions::describe;
#[cfg(feature = "metrics")]
use super::registered::{registered, show_latest};

/// Counts the hits and misses of a cache, its values and those that it evicts.
#[derive(Debug, Default)]
pub(crate) struct CacheTelemetry {
    #[cfg(feature = "metrics")]
    metrics: OnceLock<CacheMetrics>,
}

#[cfg(feature = "metrics")]
#[derive(Debug)]
struct CacheMetrics {
    misses: metrics::Counter,
    hits: metrics::Counter,
    entries: metrics::Gauge,
    evictions: metrics::Counter,
}

impl CacheTelemetry {
    /// Registers the metrics, which begin at 0.
    pub(crate) fn register(&self, cache: &Arc<str>) {
        let _ = cache;
        #[cfg(feature = "metrics")]
        let _ = self.metrics(cache);
    }

    /// Records a look-up, which was a hit or a miss.
    #[inline]
    pub(crate) fn count(&self, cache: &Arc<str>, hit: bool) {
        let _ = (cache, hit);
        #[cfg(feature = "metrics")]
        {
            let metrics = self.metrics(cache);
            let counter = if hit { &metrics.hits } else { &metrics.misses };
            counter.increment(1);
        }
        #[cfg(feature = "tracing")]
        tracing::trace!(target: "premier", function = &**cache, hit, "looked up");
    }

    /// Records a change of the number of values, and how many values were evicted by it. No lock may be held.
    pub(crate) fn resized(&self, cache: &Arc<str>, evicted: usize, entries: impl Fn() -> usize) {
        let _ = (cache, evicted, &entries);
        #[cfg(feature = "metrics")]
        {
            let metrics = self.metrics(cache);
            metrics.evictions.increment(evicted as u64);
            show_latest(entries, |entries| metrics.entries.set(*entries as f64));
        }
    }

    #[cfg(feature = "metrics")]
    #[inline]
    fn metrics(&self, cache: &Arc<str>) -> &CacheMetrics {
        registered(&self.metrics, || {
            describe();
            let function = || Arc::clone(cache);
            let lookups = |outcome: &'static str| metrics::counter!("premier_cache_lookups_total", "function" => function(), "outcome" => outcome);
            CacheMetrics {
                misses: lookups("miss"),
                hits: lookups("hit"),
                entries: metrics::gauge!("premier_cache_entries", "function" => function()),
                evictions: metrics::counter!("premier_cache_evictions_total", "function" => function()),
            }
        })
    }
}
