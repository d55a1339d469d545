//! Failures of a cache. A cache that fails never fails the call, so it logs instead.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};

/// Logs a failure, if the feature `tracing` is enabled.
pub(super) fn log_failure(what: &str, cache: &str, error: &dyn Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "premier", cache, %error, "{what}");
    #[cfg(not(feature = "tracing"))]
    let _ = (what, cache, error);
}

/// What is known of the shared store of one cache, so that it is logged when it changes and not by every call.
#[derive(Debug, Default)]
pub(super) struct StoreState {
    is_failing: AtomicBool,
    was_unreadable: AtomicBool,
}

impl StoreState {
    /// The store has answered.
    pub(super) fn answered(&self, cache: &str) {
        if self.is_failing.load(Ordering::Relaxed) && self.is_failing.swap(false, Ordering::Relaxed)
        {
            #[cfg(feature = "tracing")]
            tracing::info!(target: "premier", cache, "the shared cache answers again");
            #[cfg(not(feature = "tracing"))]
            let _ = cache;
        }
    }

    /// The store has not answered.
    pub(super) fn failed(&self, cache: &str, error: &dyn Display) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            log_failure("the shared cache does not answer", cache, error);
        }
    }

    /// A value could not be read. Another version of the program may go on to write such values, so it is logged
    /// once.
    pub(super) fn unreadable(&self, cache: &str, error: &dyn Display) {
        if !self.was_unreadable.swap(true, Ordering::Relaxed) {
            log_failure("a shared value could not be read", cache, error);
        }
    }
}
