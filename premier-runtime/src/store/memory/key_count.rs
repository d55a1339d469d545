//! How many keys a memory handler remembers, and how many it may.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Error;

/// The default of [`MemoryHandlerBuilder::max_keys`](super::MemoryHandlerBuilder::max_keys).
const MAX_KEYS: usize = 1 << 22;

#[derive(Debug)]
pub(super) struct KeyCount {
    keys: AtomicUsize,
    max: usize,
}

impl Default for KeyCount {
    fn default() -> Self {
        Self::at_most(MAX_KEYS)
    }
}

impl KeyCount {
    pub(super) const fn at_most(max: usize) -> Self {
        Self {
            keys: AtomicUsize::new(0),
            max,
        }
    }

    pub(super) fn get(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// Counts one key more.
    ///
    /// # Errors
    /// [`Error::TooManyKeys`] when the bound is reached.
    pub(super) fn add(&self) -> Result<(), Error> {
        let added = self
            .keys
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |keys| {
                (keys < self.max).then_some(keys + 1)
            });
        match added {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::TooManyKeys {
                function: "".into(),
                key: None,
                max_keys: self.max,
            }),
        }
    }

    pub(super) fn remove(&self, count: usize) {
        self.keys.fetch_sub(count, Ordering::Relaxed);
    }
}
