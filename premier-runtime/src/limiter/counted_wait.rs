//! Counting the calls that wait for a limiter.

use super::named::Limiter;

/// Counts a waiting call until it is dropped, also by a panic of the store or of a recorder.
pub(crate) struct CountedWait<'a>(&'a Limiter);

impl<'a> CountedWait<'a> {
    /// Returns `None` when `max_waiting` calls wait already.
    pub(crate) fn new(limiter: &'a Limiter, max_waiting: Option<u64>) -> Option<Self> {
        let queues = limiter.queues();
        queues.count().enter(max_waiting).then(|| {
            let counted = Self(limiter);
            limiter.record_waiting(true);
            counted
        })
    }
}

impl Drop for CountedWait<'_> {
    fn drop(&mut self) {
        self.0.queues().count().leave();
        self.0.record_waiting(false);
    }
}
