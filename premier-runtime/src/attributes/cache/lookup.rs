//! A lookup whose value was not in memory, or not fresh, or is shared.

use super::arguments::Arguments;
use super::bound_cache::{BoundCache, Known};
use super::call_key::CallKey;
use super::codec::{CacheValue, Codec};
use super::entry::StoredValue;
use super::failure::{Failure, Failures};
use super::flight_queue::{Outcome, QueuePlace, Turn};
use crate::clock::after;
use crate::error::Error;
use crate::key::full::Key;
use crate::store::values::{Loaded, ValueStore};

/// One caller's lookup.
#[derive(Debug)]
pub(super) struct Lookup<T> {
    pub(super) cache: &'static BoundCache,
    pub(super) key: CallKey,
    pub(super) codec: Codec<T>,
    /// When the lookup began.
    started_at: u64,
    /// Until when it waits for others.
    pub(super) deadline: u64,
    /// How many failed computations it has waited for.
    failures: u32,
    /// A shared value whose computation began before this lookup. It is used only if the store cannot say whether
    /// another process has invalidated it since.
    earlier: Option<StoredValue>,
}

/// What a caller does after it has waited.
#[derive(Debug)]
pub(super) enum Step<T, O> {
    /// Returns this to its caller.
    Return(Result<T, O>),
    /// Looks again: waits, or computes if no other caller does.
    Again,
    /// Loads the value, and computes it if there is none. Without a place, no other caller waits for it.
    Load(Option<QueuePlace>),
}

/// What the shared store has answered.
#[derive(Debug)]
pub(super) enum Answer<T> {
    Value(Known<T>),
    /// There is a value that this process cannot read.
    Unreadable,
    Failed,
}

impl<T: CacheValue> Lookup<T> {
    pub(super) fn new(
        cache: &'static BoundCache,
        key: &str,
        arguments: &Arguments<'_>,
        codec: Codec<T>,
    ) -> Self {
        let started_at = cache.clock.now();
        Self {
            key: CallKey {
                text: key.into(),
                arguments: arguments.keep(cache.is_shared(codec)),
            },
            cache,
            codec,
            started_at,
            deadline: after(started_at, cache.wait),
            failures: 0,
            earlier: None,
        }
    }

    /// Returns the shared store, if the value is shared.
    pub(super) fn store(&self) -> Option<&'static dyn ValueStore> {
        let is_shared = || self.cache.is_shared(self.codec);
        let store = self.cache.store?;
        (is_shared() && self.key.shared_arguments().is_some()).then_some(store)
    }

    /// Returns the shared store, if it may have a stale value while another caller computes a new
    /// one.
    pub(super) fn store_of_stale(&self) -> Option<&'static dyn ValueStore> {
        self.store()
            .filter(|_| !self.cache.ttl.stale.is_zero() && self.is_occupied())
    }

    pub(super) fn store_key(&self) -> Key<'_> {
        self.cache.store_key(&self.key)
    }

    fn is_occupied(&self) -> bool {
        self.cache.flights.is_occupied::<T>(&self.key)
    }

    /// Reads the answer of the shared store while another caller computes a new value: a stale value is good
    /// enough.
    pub(super) fn read_stale(&self, loaded: Result<Loaded, Error>) -> Option<T> {
        match self.read(loaded) {
            Answer::Value(Known::Fresh(value) | Known::Stale(value)) => Some(self.hit(value)),
            Answer::Value(Known::Nothing) | Answer::Unreadable | Answer::Failed => None,
        }
    }

    /// Reads the answer of the shared store.
    pub(super) fn read(&self, loaded: Result<Loaded, Error>) -> Answer<T> {
        let Self { cache, codec, .. } = self;
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                cache.store_state.failed(&error);
                return Answer::Failed;
            }
        };
        cache.store_state.answered();
        let (Some((bytes, remaining)), Some(decode)) = (loaded, codec.decode) else {
            return Answer::Value(Known::Nothing);
        };
        let arguments = self.key.shared_arguments().unwrap_or_default();
        match decode(&bytes, arguments) {
            Ok(value) if remaining > cache.ttl.stale => Answer::Value(Known::Fresh(value)),
            Ok(value) => Answer::Value(Known::Stale(value)),
            Err(error) => {
                cache.store_state.unreadable(&error);
                Answer::Unreadable
            }
        }
    }

    /// Joins the callers that wait for the value.
    ///
    /// # Errors
    /// Returns the value that is in memory: a fresh one, or a stale one while another caller computes.
    pub(super) fn join_flight(&self) -> Result<QueuePlace, T> {
        match self.look_in_memory() {
            Known::Fresh(value) => Err(self.hit(value)),
            Known::Stale(value) if self.is_occupied() => Err(self.hit(value)),
            Known::Stale(_) | Known::Nothing => Ok(self.cache.flights.join::<T>(&self.key)),
        }
    }

    /// What to do after waiting.
    pub(super) fn step<O>(
        &mut self,
        place: QueuePlace,
        turn: Turn,
        failures: Failures<O>,
    ) -> Step<T, O> {
        match turn {
            Turn::First => Step::Load(Some(place)),
            Turn::Late => Step::Load(place.overtake::<T>(&self.cache.flights, &self.key)),
            Turn::Ended(outcome) => {
                // A recorder is called below, and may call the function for this key.
                drop(place);
                match outcome {
                    Outcome::Value { value, since } => self.take_value(value, since),
                    Outcome::Failure { failure, arguments } => {
                        match self.key.is_of(arguments.as_deref()) {
                            true => self.take_failure(&failure, failures),
                            false => Step::Again,
                        }
                    }
                    Outcome::Invalidated => Step::Again,
                }
            }
        }
    }

    fn take_value<O>(&mut self, stored: StoredValue, since: u64) -> Step<T, O> {
        let Some(value) = stored.get(|kept| self.key.is_of(kept)) else {
            return Step::Again;
        };
        if self.store().is_some() && since < self.started_at {
            // Another process may have invalidated it before this lookup began.
            self.earlier = Some(stored);
            return Step::Again;
        }
        Step::Return(Ok(self.hit(value)))
    }

    fn take_failure<O>(&mut self, failure: &Failure, failures: Failures<O>) -> Step<T, O> {
        self.failures += 1;
        if let Known::Fresh(value) | Known::Stale(value) = self.look_in_memory() {
            return Step::Return(Ok(self.hit(value)));
        }
        if self.failures == 1 && !failure.is_error() {
            return Step::Again;
        }
        match failures.output(failure, self.cache.name()) {
            Some(output) => {
                self.cache.record_found(false);
                Step::Return(Err(output))
            }
            None => Step::Load(None),
        }
    }

    /// Returns what is in memory: nothing, if the value is shared.
    pub(super) fn look_in_memory(&self) -> Known<T> {
        match self.store() {
            Some(_) => Known::Nothing,
            None => self.cache.look(&self.key),
        }
    }

    /// Returns the value of an earlier computation, because the store cannot say whether it is valid. The waiting
    /// callers get it, too: asking such a store may take long.
    pub(super) fn take_earlier(&mut self, place: Option<&QueuePlace>) -> Known<T> {
        let Some(stored) = self.earlier.take() else {
            return Known::Nothing;
        };
        let Some(value) = stored.get(|kept| self.key.is_of(kept)) else {
            return Known::Nothing;
        };
        if let Some(place) = place {
            let since = self.cache.clock.now();
            place.end(Outcome::Value {
                value: stored,
                since,
            });
        }
        Known::Fresh(value)
    }

    /// Records that the caller returns a value which it has not computed. Call this without a place in a queue: a
    /// recorder may call the function for this key.
    pub(super) fn hit(&self, value: T) -> T {
        self.cache.record_found(true);
        value
    }
}
