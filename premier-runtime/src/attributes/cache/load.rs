//! A caller whose turn it is: it looks for the value once more, and computes it if there is none.

use std::time::Duration;

use super::bound_cache::Known;
use super::codec::CacheValue;
use super::entry::StoredValue;
use super::flight::{Flight, Missed, Start};
use super::flight_queue::{Outcome, QueuePlace};
use super::lookup::{Answer, Lookup};
use crate::error::Error;
use crate::key::full::Key;
use crate::store::values::{LoadToken, Loaded, ValueStore};

/// A caller whose turn it is.
#[derive(Debug)]
pub(super) struct Load<T> {
    lookup: Lookup<T>,
    /// `None` if no other caller can wait for this one.
    place: Option<QueuePlace>,
    start: Start,
    known: Known<T>,
    token: Option<LoadToken>,
    /// What to ask of the shared store next: see [`ValueStore::load_or_begin`].
    next_stale: Option<Duration>,
}

impl<T: CacheValue> Load<T> {
    /// Looks in memory: the callers before this one may have kept a value.
    pub(super) fn new(lookup: Lookup<T>, place: Option<QueuePlace>) -> Self {
        let start = start(&lookup);
        Self {
            known: lookup.look_in_memory(),
            next_stale: lookup.store().map(|_| lookup.cache.ttl.stale),
            lookup,
            place,
            start,
            token: None,
        }
    }

    /// Returns the shared store, if it has to be asked, and for how long a value has to be fresh at least.
    pub(super) fn next_request(&mut self) -> Option<(&'static dyn ValueStore, Duration)> {
        let stale = self.next_stale.take()?;
        self.start = start(&self.lookup);
        Some((self.lookup.store()?, stale))
    }

    pub(super) fn store_key(&self) -> Key<'_> {
        self.lookup.store_key()
    }

    /// Reads the answer of the shared store.
    pub(super) fn read(
        &mut self,
        answer: Result<(Loaded, Option<LoadToken>), Error>,
        stale: Duration,
    ) {
        let (loaded, token) = match answer {
            Ok((loaded, token)) => (Ok(loaded), token),
            Err(error) => (Err(error), None),
        };
        let has_token = token.is_some();
        self.token = token;
        match self.lookup.read(loaded) {
            Answer::Value(known) => self.known = known,
            // It is as useless as one that is about to expire.
            Answer::Unreadable if !has_token && stale < Duration::MAX => {
                self.next_stale = Some(Duration::MAX);
            }
            Answer::Unreadable => {}
            Answer::Failed => self.known = self.lookup.take_earlier(self.place.as_ref()),
        }
    }

    /// Returns the value if it is fresh, and passes it to the waiting callers.
    ///
    /// # Errors
    /// The value has to be computed: returns the right to do so.
    pub(super) fn finish<O>(self) -> Result<T, Missed<T, O>> {
        let Self {
            lookup,
            place,
            start,
            known,
            token,
            ..
        } = self;
        let stale = match known {
            Known::Fresh(value) => {
                if let Some(place) = place.filter(|place| !place.is_alone()) {
                    let arguments = lookup.key.arguments.clone();
                    place.end(Outcome::Value {
                        value: StoredValue::new(value.clone(), arguments),
                        since: start.since,
                    });
                }
                return Ok(lookup.hit(value));
            }
            Known::Stale(value) => Some(value),
            Known::Nothing => None,
        };
        let Lookup {
            cache, key, codec, ..
        } = lookup;
        Err(Missed::Compute(Flight::new(
            cache, key, codec, start, token, place, stale,
        )))
    }
}

fn start<T: CacheValue>(lookup: &Lookup<T>) -> Start {
    Start {
        epoch: lookup.cache.epoch(lookup.key.subject()),
        since: lookup.cache.clock.now(),
    }
}
