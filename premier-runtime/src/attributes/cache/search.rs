//! A call on its way to a value that is not at hand.

use std::any::TypeId;

use super::bound::{Bound, Known};
use super::codec::{CacheValue, Codec};
use super::flight::Flight;
use super::flights::FlightWaiter;
use super::forgotten::Mark;
use super::warn;
use crate::error::Error;
use crate::key::full::Key;
use crate::key::subject::Subject;
use crate::limiter::wait_queue::Waiter;
use crate::store::values::{Loaded, ValueStore};

/// See [`self`].
#[derive(Debug)]
pub(super) struct Search<T> {
    pub(super) bound: &'static Bound,
    key: Box<str>,
    codec: Codec<T>,
    shared: bool,
    since: u64,
}

/// When the shared store was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    forgotten: Mark,
    at: u64,
}

impl<T: CacheValue> Search<T> {
    pub(super) fn new(bound: &'static Bound, key: &str, codec: Codec<T>) -> Self {
        Self {
            bound,
            key: key.into(),
            codec,
            shared: bound.is_shared(codec),
            since: bound.clock.now(),
        }
    }

    /// Where an old value may be had while another caller renews it, if it is shared: what this
    /// process remembers does not count, for others may have invalidated it.
    pub(super) fn store_while_renewed(&self) -> Option<&'static dyn ValueStore> {
        let may_be_stale = !self.bound.lives.stale.is_zero();
        self.store().filter(|_| may_be_stale && self.is_in_flight())
    }

    /// Whether somebody computes the value.
    fn is_in_flight(&self) -> bool {
        self.bound
            .flights
            .contains(TypeId::of::<T>(), Some(&self.key))
    }

    pub(super) fn old(&self, loaded: Result<Loaded, Error>, asked: Asked) -> Option<T> {
        match self.read(loaded, asked) {
            Known::Fresh(value) | Known::Stale(value) => {
                self.bound.lookups.count(&self.bound.name, true);
                Some(value)
            }
            Known::Nothing => None,
        }
    }

    /// A place behind those who compute the value; or an old value, while others renew it.
    pub(super) fn board(&self) -> Result<T, (FlightWaiter, Option<T>)> {
        let stale = match self.bound.look::<T>(self.user(), self.shared, self.since) {
            Known::Stale(value) => Some(value),
            _ => None,
        };
        if let Some(value) = &stale
            && self.is_in_flight()
        {
            self.bound.lookups.count(&self.bound.name, true);
            return Ok(value.clone());
        }
        let queue = self.bound.flights.enter(TypeId::of::<T>(), Some(&self.key));
        Err((Waiter::join(queue, 1, 0), stale))
    }

    /// What there is once it is this one's turn.
    pub(super) fn look(&self, stale: Option<T>) -> Known<T> {
        match self.bound.look(self.user(), self.shared, self.since) {
            Known::Nothing => stale.map_or(Known::Nothing, Known::Stale),
            known => known,
        }
    }

    fn user(&self) -> Subject<'_> {
        Subject::Text(&self.key)
    }

    /// How much was invalidated that may be this key.
    fn forgotten(&self) -> Mark {
        self.bound.forgotten.mark(self.user())
    }

    pub(super) fn store(&self) -> Option<&'static dyn ValueStore> {
        self.bound.store.filter(|_| self.shared)
    }

    pub(super) fn shared_key(&self) -> Key<'_> {
        Key::new(&self.bound.prefix, Some(&self.key))
    }

    pub(super) fn decide(&self, known: Known<T>, waiter: FlightWaiter) -> Result<T, Flight<T>> {
        let Bound { lookups, name, .. } = self.bound;
        lookups.count(name, matches!(known, Known::Fresh(_)));
        let stale = match known {
            Known::Fresh(value) => return Ok(value),
            Known::Stale(value) => Some(value),
            Known::Nothing => None,
        };
        Err(Flight::new(
            self.bound,
            &self.key,
            self.codec,
            // From here on it is computed.
            self.forgotten(),
            waiter,
            stale,
        ))
    }

    /// Before the shared store is asked.
    pub(super) fn asked(&self) -> Asked {
        Asked {
            forgotten: self.forgotten(),
            at: self.bound.clock.now(),
        }
    }

    /// What the shared store has answered.
    pub(super) fn read(&self, loaded: Result<Loaded, Error>, asked: Asked) -> Known<T> {
        let Self { bound, codec, .. } = self;
        let (bytes, left) = match loaded {
            Ok(Some(found)) => found,
            Ok(None) => return Known::Nothing,
            Err(error) => {
                warn("the shared cache did not answer", &bound.name, &error);
                return Known::Nothing;
            }
        };
        match codec.decode.map(|decode| decode(&bytes)) {
            Some(Ok(value)) if left > bound.lives.stale => {
                let Asked { forgotten, at } = asked;
                if bound.forgotten.is_current(forgotten) {
                    // For those who had come when it was asked for, and wait behind this one.
                    let left = left.saturating_sub(bound.lives.stale);
                    bound.insert(self.user(), value.clone(), left, forgotten, at);
                }
                Known::Fresh(value)
            }
            Some(Ok(value)) => Known::Stale(value),
            Some(Err(error)) => {
                warn("a shared value could not be read", &bound.name, &error);
                Known::Nothing
            }
            None => Known::Nothing,
        }
    }
}
