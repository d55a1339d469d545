//! A lookup whose value was not in memory, or not fresh, or is shared.

use super::arguments::Arguments;
use super::bound_cache::{BoundCache, CallKey, Known};
use super::codec::{CacheValue, Codec};
use super::epochs::Epoch;
use super::flight::Flight;
use super::flight_queue::QueuePlace;
use super::log::log_failure;
use crate::error::Error;
use crate::key::full::Key;
use crate::store::values::{Loaded, ValueStore};

/// One caller's lookup.
#[derive(Debug)]
pub(super) struct Lookup<T> {
    pub(super) cache: &'static BoundCache,
    key: CallKey,
    codec: Codec<T>,
    is_shared: bool,
    /// When the caller came.
    started_at: u64,
}

/// One request to the shared store: what was true before it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoadAttempt {
    epoch: Epoch,
    started_at: u64,
}

impl<T: CacheValue> Lookup<T> {
    pub(super) fn new(
        cache: &'static BoundCache,
        key: &str,
        arguments: &Arguments<'_>,
        codec: Codec<T>,
    ) -> Self {
        let is_shared = cache.is_shared(codec);
        let key = CallKey {
            text: key.into(),
            arguments: arguments.keep(is_shared),
        };
        Self {
            is_shared: is_shared && key.shared_arguments().is_some(),
            cache,
            key,
            codec,
            started_at: cache.clock.now(),
        }
    }

    /// Returns the shared store, if values are shared.
    pub(super) fn store(&self) -> Option<&'static dyn ValueStore> {
        self.cache.store.filter(|_| self.is_shared)
    }

    /// Returns the shared store, if it may have a stale value while another caller computes a new
    /// one. The stale value in the memory of this process is no substitute: another process may have
    /// invalidated it.
    pub(super) fn store_of_stale(&self) -> Option<&'static dyn ValueStore> {
        self.store().filter(|_| {
            !self.cache.ttl.stale.is_zero() && self.cache.flights.is_occupied::<T>(&self.key.text)
        })
    }

    pub(super) fn store_key(&self) -> Key<'_> {
        Key::new(self.cache.prefix(), Some(&self.key.text))
    }

    /// Begins a request to the shared store. Call this before sending the request.
    pub(super) fn start_load(&self) -> LoadAttempt {
        LoadAttempt {
            epoch: self.cache.epoch(self.key.subject()),
            started_at: self.cache.clock.now(),
        }
    }

    /// Evaluates the answer of the shared store. A fresh value also stays in memory, for callers that
    /// came before the request was sent and wait behind this one.
    pub(super) fn finish_load(
        &self,
        loaded: Result<Loaded, Error>,
        attempt: LoadAttempt,
    ) -> Known<T> {
        let Self { cache, codec, .. } = self;
        let (bytes, remaining) = match loaded {
            Ok(Some(found)) => found,
            Ok(None) => return Known::Nothing,
            Err(error) => {
                log_failure("the shared cache did not answer", cache.name(), &error);
                return Known::Nothing;
            }
        };
        let arguments = self.key.shared_arguments().unwrap_or_default();
        match codec.decode.map(|decode| decode(&bytes, arguments)) {
            Some(Ok(value)) if remaining > cache.ttl.stale => {
                let LoadAttempt { epoch, started_at } = attempt;
                let ttl = remaining.saturating_sub(cache.ttl.stale);
                cache.insert(&self.key, value.clone(), ttl, epoch, started_at);
                Known::Fresh(value)
            }
            Some(Ok(value)) => Known::Stale(value),
            Some(Err(error)) => {
                log_failure("a shared value could not be read", cache.name(), &error);
                Known::Nothing
            }
            None => Known::Nothing,
        }
    }

    /// Evaluates the answer of the shared store while another caller computes a new value: a stale
    /// value is good enough.
    pub(super) fn finish_stale_load(
        &self,
        loaded: Result<Loaded, Error>,
        attempt: LoadAttempt,
    ) -> Option<T> {
        match self.finish_load(loaded, attempt) {
            Known::Fresh(value) | Known::Stale(value) => {
                self.cache.record_lookup(true);
                Some(value)
            }
            Known::Nothing => None,
        }
    }

    /// Joins the callers that wait for the value. Returns the place in their queue with the stale
    /// value of this process, if there is one.
    ///
    /// # Errors
    /// Another caller computes the value: returns the stale value instead of waiting.
    pub(super) fn join_flight(&self) -> Result<(QueuePlace, Option<T>), T> {
        let stale = match self.look_in_memory() {
            Known::Stale(value) => Some(value),
            Known::Fresh(_) | Known::Nothing => None,
        };
        match stale {
            Some(value) if self.cache.flights.is_occupied::<T>(&self.key.text) => {
                self.cache.record_lookup(true);
                Err(value)
            }
            stale => Ok((self.cache.flights.join::<T>(&self.key.text), stale)),
        }
    }

    /// Looks in memory once it is this caller's turn, after the callers before it have kept their
    /// values.
    pub(super) fn look_again(&self, stale: Option<T>) -> Known<T> {
        match self.look_in_memory() {
            Known::Nothing => stale.map_or(Known::Nothing, Known::Stale),
            known => known,
        }
    }

    /// Returns the value if it is fresh.
    ///
    /// # Errors
    /// The value has to be computed: returns the right to do so.
    pub(super) fn finish(self, known: Known<T>, place: QueuePlace) -> Result<T, Flight<T>> {
        let stale = match known {
            Known::Fresh(value) => {
                // A recorder may call the function for the same key.
                drop(place);
                self.cache.record_lookup(true);
                return Ok(value);
            }
            Known::Stale(value) => Some(value),
            Known::Nothing => None,
        };
        // The computation begins now.
        let epoch = self.cache.epoch(self.key.subject());
        Err(Flight::new(
            self.cache, self.key, self.codec, epoch, place, stale,
        ))
    }

    fn look_in_memory(&self) -> Known<T> {
        let loaded_after = self.is_shared.then_some(self.started_at);
        let arguments = self.key.arguments.as_deref();
        self.cache.look(self.key.subject(), arguments, loaded_after)
    }
}
