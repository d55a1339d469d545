//! How often a policy had to decide because the store could not.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry;

static DENIED: AtomicU64 = AtomicU64::new(0);
static ALLOWED: AtomicU64 = AtomicU64::new(0);
static IN_MEMORY: AtomicU64 = AtomicU64::new(0);

/// Calls of this process that the store could not decide about, by what
/// [`OnBackendError`] made of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct OutageCalls {
    /// Let through by [`OnBackendError::Allow`].
    pub allowed: u64,
    /// Refused by [`OnBackendError::Deny`].
    pub denied: u64,
    /// Decided in this process by [`OnBackendError::Memory`].
    pub in_memory: u64,
}

/// The counts since the process began.
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

pub(crate) fn count(policy: OnBackendError) {
    let (counter, name) = match policy {
        OnBackendError::Allow => (&ALLOWED, "allow"),
        OnBackendError::Deny => (&DENIED, "deny"),
        OnBackendError::Memory => (&IN_MEMORY, "memory"),
    };
    counter.fetch_add(1, Ordering::Relaxed);
    telemetry::outage_decision(name);
}

/// What happens to calls while the store cannot decide. The memory handler always can.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnBackendError {
    /// Let calls through unlimited.
    Allow,
    /// Refuse with [`Error::Backend`](crate::Error::Backend). The default.
    #[default]
    Deny,
    /// Limit inside this process until the store answers again.
    Memory,
}
