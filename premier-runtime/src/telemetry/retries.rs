//! How often each function was retried, for the dashboard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

static RETRIES: Mutex<BTreeMap<Arc<str>, u64>> = Mutex::new(BTreeMap::new());

/// Counts a retry of a function.
pub(super) fn count(function: &Arc<str>) {
    let mut retries = RETRIES.lock().unwrap_or_else(PoisonError::into_inner);
    *retries.entry(Arc::clone(function)).or_default() += 1;
}

/// The functions that were retried, and how often.
pub(crate) fn retries() -> Vec<(Arc<str>, u64)> {
    let retries = RETRIES.lock().unwrap_or_else(PoisonError::into_inner);
    let retries = retries.iter();
    retries
        .map(|(function, count)| (Arc::clone(function), *count))
        .collect()
}
