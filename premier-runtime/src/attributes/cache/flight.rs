//! The right to compute a value, which one caller per key has at a time.

use super::bound_cache::{BoundCache, CallKey};
use super::codec::{CacheValue, Codec};
use super::epochs::Epoch;
use super::flight_queue::QueuePlace;

/// A caller that computes a value while others wait for it. When it is dropped, with or without
/// having kept a value, the next caller looks for the value.
#[derive(Debug)]
pub struct Flight<T> {
    /// `None` if the cache is disabled.
    target: Option<Target>,
    codec: Codec<T>,
    stale: Option<T>,
}

/// Where the value belongs.
#[derive(Debug)]
struct Target {
    cache: &'static BoundCache,
    key: CallKey,
    /// The epoch in which the computation began.
    epoch: Epoch,
    _place: QueuePlace,
    /// Dropped after the place.
    _miss: Miss,
}

/// Records a lookup that has found no value, when it is dropped: a recorder may call the function for the same
/// key, and would wait for itself while this caller has its place.
#[derive(Debug)]
struct Miss(&'static BoundCache);

impl Drop for Miss {
    fn drop(&mut self) {
        self.0.record_lookup(false);
        self.0.record_size();
    }
}

impl<T: CacheValue> Flight<T> {
    pub(super) fn new(
        cache: &'static BoundCache,
        key: CallKey,
        codec: Codec<T>,
        epoch: Epoch,
        place: QueuePlace,
        stale: Option<T>,
    ) -> Self {
        Self {
            target: Some(Target {
                cache,
                key,
                epoch,
                _place: place,
                _miss: Miss(cache),
            }),
            codec,
            stale,
        }
    }

    /// The flight of a cache that cannot be used: nothing is kept.
    pub(super) const fn disabled(codec: Codec<T>) -> Self {
        Self {
            target: None,
            codec,
            stale: None,
        }
    }

    /// Caches the computed value.
    pub fn keep(&self, value: &T) {
        if let Some(target) = &self.target {
            let Target {
                cache, key, epoch, ..
            } = target;
            cache.keep(key, value, self.codec, *epoch);
        }
    }

    /// Returns the stale value, which replaces a new one that could not be computed.
    #[must_use]
    pub fn stale(&self) -> Option<T> {
        self.stale.clone()
    }
}
