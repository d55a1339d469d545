//! The atomics and locks of the memory store, of manual clocks and of the queues of waiters: std's, or loom's
//! where every interleaving is tried.

pub(crate) use std::sync::atomic::Ordering;
#[cfg(not(premier_loom))]
pub(crate) use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, RwLock,
    atomic::{AtomicU64, AtomicUsize},
};
use std::sync::{PoisonError, TryLockError};

#[cfg(premier_loom)]
pub(crate) use loom::sync::{
    Arc, Condvar, Mutex, MutexGuard, RwLock,
    atomic::{AtomicU64, AtomicUsize},
};

/// Locks a mutex, also after a panic of another thread, which leaves the data behind these locks consistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As [`lock`], for locks that loom does not model.
pub(crate) fn lock_std<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks unless another thread holds the lock.
#[inline]
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(locked) => Some(locked),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The word a moment after a race for it was lost.
///
/// The winner often goes on with several calls; a pause keeps the cache line from going back and
/// forth meanwhile (two threads on one limit: 16 ns a call instead of 40).
#[cold]
#[inline(never)]
pub(crate) fn reload(word: &AtomicU64, order: Ordering) -> u64 {
    const PAUSES: usize = 8;
    if cfg!(not(premier_loom)) {
        (0..PAUSES).for_each(|_| std::hint::spin_loop());
    }
    word.load(order)
}
