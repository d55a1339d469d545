//! The policies of one kind of attribute in this process, for the dashboard.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::config::scope;

/// The policies of one kind. Those of scopes are not among them.
pub(super) struct Registry<P: 'static>(Mutex<Vec<&'static P>>);

impl<P> Registry<P> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(super) fn add(&self, policy: &'static P) {
        if scope::current().is_none() {
            self.policies().push(policy);
        }
    }

    pub(super) fn all(&self) -> Vec<&'static P> {
        self.policies().clone()
    }

    fn policies(&self) -> MutexGuard<'_, Vec<&'static P>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
