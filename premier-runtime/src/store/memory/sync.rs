//! The atomics and locks of this module: std's, or loom's where every interleaving is tried.

use std::sync::PoisonError;
pub(super) use std::sync::atomic::Ordering;
#[cfg(not(premier_loom))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64},
};

#[cfg(premier_loom)]
pub(super) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64},
};

/// Nothing behind these locks is left half done by a panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a word is a moment after a race for it was lost. The winner goes on meanwhile, perhaps with
/// several calls: to have its memory go back and forth takes several times as long.
#[cold]
#[inline(never)]
pub(super) fn seen_later(word: &AtomicU64, order: Ordering) -> u64 {
    const PAUSES: usize = 8;
    if cfg!(not(premier_loom)) {
        (0..PAUSES).for_each(|_| std::hint::spin_loop());
    }
    word.load(order)
}
