//! Locks that are held for a few instructions.

use std::sync::{Mutex, PoisonError};

/// Locks a mutex. What it guards is whole even if a thread has panicked, because none does within the lock.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
