//! The numbers of keys of a memory handler and of each of its tables, and their upper limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Error;
use crate::telemetry::KeyTelemetry;

/// The default of [`MemoryHandlerBuilder::max_keys`](super::MemoryHandlerBuilder::max_keys).
const MAX_KEYS: usize = 1 << 22;

/// The defaults of the most keys of a table: this part of the most keys of the handler, and at least this number.
const PART: usize = 4;
const MIN_PER_LIMIT: usize = 1 << 20;

/// The keys of a handler.
#[derive(Debug)]
pub(super) struct KeyCount {
    keys: AtomicUsize,
    pub(super) max: usize,
    /// The most keys of one table; `None` for the default.
    pub(super) max_per_limit: Option<usize>,
}

impl Default for KeyCount {
    fn default() -> Self {
        Self {
            keys: AtomicUsize::new(0),
            max: MAX_KEYS,
            max_per_limit: None,
        }
    }
}

impl KeyCount {
    pub(super) fn get(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    fn max_per_limit(&self) -> usize {
        self.max_per_limit
            .unwrap_or((self.max / PART).max(MIN_PER_LIMIT))
    }
}

/// The keys of one table, which count among those of its handler.
#[derive(Debug)]
pub(super) struct TableKeys {
    keys: AtomicUsize,
    /// Idle keys that were removed and are not recorded yet.
    evicted: AtomicUsize,
    of_handler: Arc<KeyCount>,
    telemetry: KeyTelemetry,
}

impl TableKeys {
    pub(super) fn new(of_handler: &Arc<KeyCount>) -> Self {
        Self {
            keys: AtomicUsize::new(0),
            evicted: AtomicUsize::new(0),
            of_handler: Arc::clone(of_handler),
            telemetry: KeyTelemetry::default(),
        }
    }

    pub(super) fn get(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    /// The upper limit of the number of keys.
    #[cfg(feature = "dashboard")]
    pub(super) fn max(&self) -> usize {
        self.of_handler.max_per_limit().min(self.of_handler.max)
    }

    /// Counts one more key.
    ///
    /// # Errors
    /// [`Error::TooManyKeys`] when the bound of the table or that of the handler is reached.
    pub(super) fn add(&self) -> Result<(), Error> {
        if !add(&self.keys, self.of_handler.max_per_limit()) {
            return Err(too_many(self.of_handler.max_per_limit()));
        }
        if !add(&self.of_handler.keys, self.of_handler.max) {
            self.keys.fetch_sub(1, Ordering::Relaxed);
            return Err(too_many(self.of_handler.max));
        }
        Ok(())
    }

    /// Whether the table itself has no room, even if the handler has.
    pub(super) fn is_full(&self) -> bool {
        self.get() >= self.of_handler.max_per_limit()
    }

    pub(super) fn remove(&self, count: usize) {
        self.keys.fetch_sub(count, Ordering::Relaxed);
        self.of_handler.keys.fetch_sub(count, Ordering::Relaxed);
    }

    /// As [`TableKeys::remove`], for keys that were idle.
    pub(super) fn evict(&self, count: usize) {
        if count > 0 {
            self.remove(count);
            self.evicted.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Registers the metrics of the keys with this prefix. No lock may be held.
    pub(super) fn register_metrics(&self, prefix: &str) {
        self.telemetry.register(prefix);
        self.record();
    }

    /// Records the changes in metrics. No lock may be held.
    pub(super) fn record(&self) {
        // Reading is cheaper than swapping, and there is rarely a change.
        let evicted = match self.evicted.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.evicted.swap(0, Ordering::Relaxed),
        };
        self.telemetry.changed(|| self.get(), evicted);
    }
}

fn add(keys: &AtomicUsize, max: usize) -> bool {
    let add = |keys| (keys < max).then_some(keys + 1);
    keys.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
        .is_ok()
}

fn too_many(max_keys: usize) -> Error {
    Error::TooManyKeys {
        function: "".into(),
        key: None,
        max_keys,
    }
}
