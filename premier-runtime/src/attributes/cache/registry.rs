//! All caches of the process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::bound_cache::BoundCache;

/// Every cache that was called at least once.
static CACHES: Mutex<Vec<&'static BoundCache>> = Mutex::new(Vec::new());

/// Adds a cache.
pub(super) fn register(cache: &'static BoundCache) {
    caches().push(cache);
}

/// Returns the caches that meet a condition. The registry is not locked afterwards, so the caller may
/// drop values.
pub(super) fn find(matches: impl Fn(&BoundCache) -> bool) -> Vec<&'static BoundCache> {
    let mut found = caches().clone();
    found.retain(|cache| matches(cache));
    found
}

fn caches() -> MutexGuard<'static, Vec<&'static BoundCache>> {
    CACHES.lock().unwrap_or_else(PoisonError::into_inner)
}
