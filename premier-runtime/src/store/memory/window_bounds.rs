//! The window that a packed count belongs to.

use crate::algorithms::{State, WindowState};
use crate::sync::{AtomicU64, Ordering};

/// The number of low bits of a word that hold the count. The bits above tag the window.
const COUNT_BITS: u32 = 40;
pub(super) const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// The window of a [`DirectLimiter`](super::direct_limiter::DirectLimiter) word.
///
/// Only the holder of its lock changes this, while the word is zero, and gives the word another tag
/// afterwards. A swap that succeeds therefore found the bounds that the word was set with: a change
/// of the bounds zeroes the word first. Words repeat after 2^24 changes; a call that slept through all
/// of them and meets an equal count takes from the window that is open when it swaps, whose count
/// stays within the quota.
#[derive(Debug, Default)]
pub(super) struct WindowBounds {
    start: AtomicU64,
    /// The count of the window before.
    prev: AtomicU64,
    tag: AtomicU64,
}

impl WindowBounds {
    /// Whether a word was set with these bounds, so that the words count the units of windows.
    pub(super) fn is_used(&self) -> bool {
        self.tag.load(Ordering::Relaxed) > 0
    }

    /// The counters behind a word. Read after the word, so that a later swap proves they belong
    /// together.
    #[inline]
    pub(super) fn state(&self, word: u64, slides: bool) -> WindowState {
        WindowState {
            start: self.start.load(Ordering::Acquire),
            cur: word & COUNT,
            prev: self.prev.load(Ordering::Acquire),
            slides,
        }
    }

    /// Sets the bounds for a state and returns its word; zero when the state does not fit a word. Must be called by
    /// the holder of the lock, while the word is zero.
    pub(super) fn pack(&self, state: &State) -> u64 {
        let Some(WindowState {
            start, cur, prev, ..
        }) = state.window()
        else {
            return 0;
        };
        if cur == 0 || cur > COUNT {
            return 0;
        }
        self.start.store(start, Ordering::Release);
        self.prev.store(prev, Ordering::Release);
        let tag = self.tag.load(Ordering::Relaxed) + 1;
        self.tag.store(tag, Ordering::Relaxed);
        tag << COUNT_BITS | cur
    }
}
