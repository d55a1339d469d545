//! How many calls wait for one limit.

use crate::sync::{AtomicU64, Ordering};

/// How many calls wait in this process, under all keys.
#[derive(Debug, Default)]
pub(crate) struct WaitingCount(AtomicU64);

impl WaitingCount {
    /// Counts a waiting call, unless `most` calls wait already. Returns whether the call may wait.
    pub(crate) fn enter(&self, most: Option<u64>) -> bool {
        let most = most.unwrap_or(u64::MAX);
        let enter = |count: u64| (count < most).then_some(count + 1);
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        self.0.fetch_update(success, failure, enter).is_ok()
    }

    /// Counts the end of a wait.
    pub(crate) fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many calls wait.
    #[cfg(feature = "dashboard")]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether another call may wait.
    pub(crate) fn has_room(&self, most: Option<u64>) -> bool {
        most.is_none_or(|most| self.0.load(Ordering::Relaxed) < most)
    }
}
