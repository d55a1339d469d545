//! Failures of a cache. A cache that fails never fails the call, so it logs instead.

use std::fmt::Display;

/// Logs a failure, if the feature `tracing` is enabled.
pub(super) fn log_failure(what: &str, cache: &str, error: &dyn Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(cache, %error, "{what}");
    #[cfg(not(feature = "tracing"))]
    let _ = (what, cache, error);
}
