//! All caches of the process.

use std::any::TypeId;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::bound_cache::BoundCache;
use crate::config::scope;

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

/// The caches that have been used, with the number of values that each keeps.
#[cfg(feature = "dashboard")]
pub(crate) fn cache_sizes() -> Vec<(&'static str, usize)> {
    let caches = find(|_| true);
    caches
        .into_iter()
        .map(|cache| (cache.name(), cache.len()))
        .collect()
}

type Caches = Mutex<Vec<&'static BoundCache>>;

fn caches_of_scope() -> Option<&'static Caches> {
    let key = (std::ptr::from_ref(&CACHES).addr(), TypeId::of::<Caches>());
    let made = scope::current()?.value(key, || Ok::<Caches, Infallible>(Mutex::default()));
    let Ok((caches, _)) = made;
    Some(caches)
}

fn caches() -> MutexGuard<'static, Vec<&'static BoundCache>> {
    caches_of_scope()
        .unwrap_or(&CACHES)
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}
