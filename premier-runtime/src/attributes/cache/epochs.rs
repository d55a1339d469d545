//! Invalidation epochs: whether a key was invalidated since a value began to be loaded.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ahash::RandomState;

use crate::key::subject::Subject;

const GROUPS: usize = 32;

/// Counts invalidations per group of keys, so that invalidating one key rarely affects the values
/// of other keys that are being loaded.
pub(super) struct InvalidationEpochs {
    hasher: RandomState,
    groups: [Mutex<u64>; GROUPS],
}

/// The number of invalidations of a key's group at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Epoch {
    group: usize,
    count: u64,
}

impl InvalidationEpochs {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self {
            hasher,
            groups: Default::default(),
        }
    }

    /// Returns the current epoch of a key.
    pub(super) fn current(&self, key: Subject<'_>) -> Epoch {
        let group = self.group(key);
        let count = *self.lock(group);
        Epoch { group, count }
    }

    /// Whether the key of `epoch` was not invalidated since.
    pub(super) fn is_current(&self, epoch: Epoch) -> bool {
        *self.lock(epoch.group) == epoch.count
    }

    /// Calls `publish` if the key of `epoch` was not invalidated since. Invalidations of the key wait
    /// until `publish` has returned, and therefore find what it has published.
    pub(super) fn if_current(&self, epoch: Epoch, publish: impl FnOnce()) {
        let count = self.lock(epoch.group);
        if *count == epoch.count {
            publish();
        }
    }

    /// Starts a new epoch of one key. Remove its value afterwards.
    pub(super) fn advance(&self, key: Subject<'_>) {
        *self.lock(self.group(key)) += 1;
    }

    /// Starts a new epoch of every key. Remove all values afterwards.
    pub(super) fn advance_all(&self) {
        for group in 0..GROUPS {
            *self.lock(group) += 1;
        }
    }

    fn lock(&self, group: usize) -> MutexGuard<'_, u64> {
        self.groups[group]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn group(&self, key: Subject<'_>) -> usize {
        // The remainder is less than `GROUPS`.
        (self.hasher.hash_one(key.canonical()) % GROUPS as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::hasher::secret_hasher;

    #[test]
    fn nothing_is_published_that_was_invalidated_meanwhile() {
        let epochs = InvalidationEpochs::new(secret_hasher());
        let key = Subject::Text("key");
        let publishes = |epoch| {
            let mut published = false;
            epochs.if_current(epoch, || published = true);
            published
        };
        let epoch = epochs.current(key);
        assert!(publishes(epoch));
        epochs.advance(key);
        assert!(!publishes(epoch) && !epochs.is_current(epoch));
        let epoch = epochs.current(key);
        epochs.advance_all();
        assert!(!publishes(epoch));
    }
}
