//! The right to compute a value, which one caller per key has at a time.

use super::bound_cache::BoundCache;
use super::call_key::CallKey;
use super::codec::{CacheValue, Codec};
use super::entry::StoredValue;
use super::epochs::Epoch;
use super::failure::Failures;
use super::flight_queue::{Outcome, QueuePlace};
use crate::store::values::LoadToken;

/// A caller whose value is not in the cache.
#[derive(Debug)]
pub enum Missed<T, O> {
    /// It has to compute the value.
    Compute(Flight<T>),
    /// It has waited for a computation that failed, and returns this.
    Failed(O),
}

/// A caller that computes a value while others wait for it. When it is dropped without a value and without a
/// failure, the next caller looks for the value.
#[derive(Debug)]
pub struct Flight<T> {
    /// `None` if the cache is disabled.
    target: Option<Target>,
    codec: Codec<T>,
    stale: Option<T>,
}

/// The state before the shared store was asked or the computation began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) epoch: Epoch,
    pub(super) since: u64,
}

/// Where the value belongs.
#[derive(Debug)]
struct Target {
    computation: Computation,
    /// When the computation began.
    start: Start,
    /// `None` if no other caller can wait for this one.
    place: Option<QueuePlace>,
    /// Dropped after the place.
    _miss: Miss,
}

/// A computation, which is registered with the shared store if it has a token.
#[derive(Debug)]
struct Computation {
    cache: &'static BoundCache,
    key: CallKey,
    token: Option<LoadToken>,
}

impl Drop for Computation {
    fn drop(&mut self) {
        if let (Some(token), Some(store)) = (self.token.take(), self.cache.store) {
            store.abandon(self.cache.store_key(&self.key), token);
        }
    }
}

/// Records a lookup that has found no value, when it is dropped: a recorder or a subscriber may call the function
/// for this key, and would wait for itself while this caller has its place in the queue.
#[derive(Debug)]
struct Miss(&'static BoundCache);

impl Drop for Miss {
    fn drop(&mut self) {
        self.0.record_found(false);
    }
}

impl<T: CacheValue> Flight<T> {
    pub(super) fn new(
        cache: &'static BoundCache,
        key: CallKey,
        codec: Codec<T>,
        start: Start,
        token: Option<LoadToken>,
        place: Option<QueuePlace>,
        stale: Option<T>,
    ) -> Self {
        Self {
            target: Some(Target {
                computation: Computation { cache, key, token },
                start,
                place,
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

    /// Caches the computed value, and passes it to the waiting callers.
    pub fn keep(self, value: &T) {
        let Some(mut target) = self.target else {
            return;
        };
        let Start { epoch, mut since } = target.start;
        let Computation { cache, key, token } = &mut target.computation;
        let stored = StoredValue::new(value.clone(), key.arguments.clone());
        let is_shared = cache.is_shared(self.codec) && key.shared_arguments().is_some();
        let is_saved = match token.take() {
            Some(token) if is_shared => cache.save(key, value, self.codec, epoch, token).is_ok(),
            _ => is_shared,
        };
        if !is_saved {
            cache.keep::<T>(key, stored.clone(), epoch);
            since = cache.clock.now();
        }
        target.end(Outcome::Value {
            value: stored,
            since,
        });
    }

    /// Passes a value that is not cached to the waiting callers.
    pub fn pass_on(self, value: &T) {
        if let Some(target) = self.target.filter(Target::is_awaited) {
            let arguments = target.computation.key.arguments.clone();
            target.end(Outcome::Value {
                value: StoredValue::new(value.clone(), arguments),
                since: target.start.since,
            });
        }
    }

    /// Passes a failure to the waiting callers. Returns the stale value, which replaces the new one that could not be
    /// computed.
    pub fn fail<O>(self, output: &O, failures: Failures<O>) -> Option<T> {
        if let Some(target) = self.target.filter(Target::is_awaited) {
            target.end(Outcome::Failure {
                failure: failures.copy(output),
                arguments: target.computation.key.arguments.clone(),
            });
        }
        self.stale
    }
}

impl Target {
    /// Whether others wait for the value.
    fn is_awaited(&self) -> bool {
        self.place.as_ref().is_some_and(|place| !place.is_alone())
    }

    fn end(&self, outcome: Outcome) {
        if let Some(place) = &self.place {
            place.end(outcome);
        }
    }
}
