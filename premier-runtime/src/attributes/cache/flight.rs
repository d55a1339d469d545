//! The right to compute a value, which one caller has at a time.

use super::bound::Bound;
use super::codec::{CacheValue, Codec};
use super::flights::FlightWaiter;
use super::forgotten::Mark;

/// A caller that computes a value while others wait for it. Dropping it, with or without a value,
/// lets the next one look.
#[derive(Debug)]
pub struct Flight<T> {
    begun: Option<Begun>,
    codec: Codec<T>,
    stale: Option<T>,
}

#[derive(Debug)]
struct Begun {
    bound: &'static Bound,
    key: Box<str>,
    forgotten: Mark,
    _waiter: FlightWaiter,
}

impl<T: CacheValue> Flight<T> {
    pub(super) fn new(
        bound: &'static Bound,
        key: &str,
        codec: Codec<T>,
        forgotten: Mark,
        waiter: FlightWaiter,
        stale: Option<T>,
    ) -> Self {
        let begun = Begun {
            bound,
            key: key.into(),
            forgotten,
            _waiter: waiter,
        };
        Self {
            begun: Some(begun),
            codec,
            stale,
        }
    }

    /// Of a cache that cannot be used.
    pub(super) const fn unbound(codec: Codec<T>) -> Self {
        Self {
            begun: None,
            codec,
            stale: None,
        }
    }

    /// Keeps the value for others.
    pub fn keep(&self, value: &T) {
        if let Some(begun) = &self.begun {
            begun
                .bound
                .keep(&begun.key, value, self.codec, begun.forgotten);
        }
    }

    /// The old value, to fall back on when a new one cannot be computed.
    #[must_use]
    pub fn stale(&self) -> Option<T> {
        self.stale.clone()
    }
}
