//! Wakers that have left a queue and are to be woken or dropped without its lock.

use std::task::Waker;

#[derive(Debug, Default)]
pub(super) struct Wakers {
    pub(super) woken: Vec<Waker>,
    /// Wakers that are dropped without being woken.
    pub(super) unused: Vec<Waker>,
}

impl Wakers {
    /// Wakes [`Wakers::woken`] and drops all. Must be called without a lock, because both run code of the executor.
    pub(super) fn wake(self) {
        self.woken.into_iter().for_each(Waker::wake);
    }
}
