//! The policy for calls that the store cannot decide, and how often it was applied.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry;

static DENIED: AtomicU64 = AtomicU64::new(0);
static ALLOWED: AtomicU64 = AtomicU64::new(0);
static IN_MEMORY: AtomicU64 = AtomicU64::new(0);

/// The number of calls in this process that the store could not decide, by the policy that decided
/// them instead. Returned by [`outage_calls`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct OutageCalls {
    /// Calls admitted by [`OnBackendError::Allow`].
    pub allowed: u64,
    /// Calls rejected by [`OnBackendError::Deny`].
    pub denied: u64,
    /// Calls decided in memory by [`OnBackendError::Memory`].
    pub in_memory: u64,
}

/// Returns how many calls the store could not decide since the process started.
///
/// ```
/// assert_eq!(premier::outage_calls().denied, 0);
/// ```
#[must_use]
pub fn outage_calls() -> OutageCalls {
    OutageCalls {
        allowed: ALLOWED.load(Ordering::Relaxed),
        denied: DENIED.load(Ordering::Relaxed),
        in_memory: IN_MEMORY.load(Ordering::Relaxed),
    }
}

/// Counts a call that this store could not decide.
pub(crate) fn count(policy: OnBackendError, store: &'static str) {
    let counter = match policy {
        OnBackendError::Allow => &ALLOWED,
        OnBackendError::Deny => &DENIED,
        OnBackendError::Memory => &IN_MEMORY,
    };
    counter.fetch_add(1, Ordering::Relaxed);
    telemetry::outage_decision(store, policy.as_str());
}

/// What happens to calls while the store cannot decide, because it is down or too slow.
///
/// Default: [`OnBackendError::Deny`]. A [`MemoryHandler`](crate::MemoryHandler) can always decide, so
/// the policy never applies to it.
///
/// ```
/// use premier::{Config, MemoryHandler, OnBackendError};
///
/// let config = Config::new(MemoryHandler::new()).on_backend_error(OnBackendError::Allow);
/// # let _ = config;
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnBackendError {
    /// Admit every call.
    Allow,
    /// Reject every call with [`Error::Backend`](crate::Error::Backend).
    #[default]
    Deny,
    /// Decide in the memory of this process, with the same limits, until the store answers again.
    /// Each process then has the whole quota.
    Memory,
}

impl OnBackendError {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Memory => "memory",
        }
    }
}
