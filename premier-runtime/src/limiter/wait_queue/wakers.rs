//! Wakers that have left a queue and are to be woken or dropped without its lock.

use std::task::Waker;

#[derive(Debug, Default)]
pub(super) struct Wakers {
    pub(super) woken: Vec<Waker>,
    /// Those that are dropped and not woken.
    pub(super) unused: Vec<Waker>,
}

impl Wakers {
    /// Wakes those that are to be woken and drops all. To be called without a lock, because both
    /// run code of the executor.
    pub(super) fn wake(self) {
        self.woken.into_iter().for_each(Waker::wake);
    }
}
