//! Decisions, and reservations by which the units of a decision can be given back.

use std::time::Duration;

use crate::clock::after;

/// The decision of a limit about one call.
///
/// All times are relative to the instant of the decision. They are rounded up to whole nanoseconds in
/// memory and to whole microseconds on Redis, so waiting that long is always enough.
///
/// ```
/// use premier::{Limit, Throttle};
/// use std::time::Duration;
///
/// let api = Throttle::new("api", Limit::fixed_window(10, Duration::from_secs(60)));
/// let decision = api.check("alice")?;
/// assert!(decision.allowed);
/// assert_eq!((decision.limit, decision.remaining), (10, 9));
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[must_use = "a decision is not enforced: look at `allowed`, or call `Throttle::acquire`, which returns an error when the call is denied"]
#[non_exhaustive]
pub struct Decision {
    /// Whether the call is admitted. An admitted call must wait for [`Decision::delay`] first.
    pub allowed: bool,
    /// The capacity of the limit: the most units that can be taken at one instant from an unused key.
    /// Of several limits, that of the tightest.
    pub limit: u64,
    /// How many units could still be taken at this instant, after this call.
    pub remaining: u64,
    /// How long until the same call would be admitted, if no other call takes units until then; zero
    /// when the call is allowed.
    pub retry_after: Duration,
    /// How long until the key is as if it had never been used, if no other call takes units until
    /// then.
    pub reset_after: Duration,
    /// How long an admitted call must wait for its slot in a leaky bucket; zero for other algorithms.
    pub delay: Duration,
    /// When and where the cost was taken, to give it back.
    pub(crate) reservation: Reservation,
}

impl Decision {
    /// Creates a decision that allows the call, for a limit of capacity `limit`. `remaining` and all
    /// times are zero.
    ///
    /// For implementations of [`Handler`](crate::Handler), which set the public fields.
    ///
    /// ```
    /// use premier::Decision;
    ///
    /// let mut decision = Decision::new(10);
    /// decision.remaining = 9;
    /// ```
    pub const fn new(limit: u64) -> Self {
        Self {
            allowed: true,
            limit,
            remaining: 0,
            retry_after: Duration::ZERO,
            reset_after: Duration::ZERO,
            delay: Duration::ZERO,
            reservation: Reservation::NONE,
        }
    }

    /// Stores when the cost was taken from a single limit, whose state remembers the cost until it
    /// resets.
    pub(crate) fn taken_at(mut self, now: u64) -> Self {
        self.reservation.remember(0, self.reset_after);
        self.all_taken_at(now)
    }

    /// Stores when the cost was taken from limits that have each called [`Reservation::remember`].
    pub(crate) fn all_taken_at(mut self, now: u64) -> Self {
        self.reservation.since = now;
        for until in &mut self.reservation.until {
            *until = until.saturating_add(now);
        }
        self
    }

    /// Stores when the cost was taken, and where its slot ends if the limit is a leaky bucket.
    pub(crate) fn taken_in_slot(self, now: u64, end: Option<u128>) -> Self {
        let mut decision = self.taken_at(now);
        if let Some(end) = end {
            decision.reservation.set_end(0, end);
        }
        decision
    }
}

/// The units that an admitted call took, with what a store needs to give them back.
///
/// A caller that stops waiting gives its units back with
/// [`Operation::Release`](crate::Operation::Release). The reservation says which units can still be
/// given back without taking them from other callers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reservation {
    /// The end of the reserved slot in each limit that is a leaky bucket, in ticks of its plan, or 0.
    /// A slot can be given back as long as it is the last one of the queue.
    ends: [u128; Self::LIMITS],
    /// When the units were taken, in nanoseconds of the store's clock.
    pub(crate) since: u64,
    /// Until when the state of each limit remembers the units. The last element is the minimum over
    /// all further limits.
    until: [u64; Self::LIMITS],
    /// Whether the memory fallback decided instead of the store.
    pub(crate) from_fallback: bool,
}

impl Reservation {
    /// The most leaky buckets that can be decided as one.
    pub(crate) const LIMITS: usize = 4;

    pub(crate) const NONE: Self = Self {
        ends: [0; Self::LIMITS],
        since: 0,
        until: [0; Self::LIMITS],
        from_fallback: false,
    };

    /// Returns the reservation of a single slot that ends at `end`.
    pub(crate) const fn ending(end: u128) -> Self {
        let mut slot = Self::NONE;
        slot.ends[0] = end;
        slot
    }

    /// Returns the end of the slot in the limit at `index`, or 0 if it has none.
    pub(crate) fn end(&self, index: usize) -> u128 {
        self.ends.get(index).copied().unwrap_or(0)
    }

    /// Returns this reservation for a caller whose wait is over: units go back as those of a call that did
    /// not wait.
    pub(crate) const fn without_slots(self) -> Self {
        Self {
            ends: Self::NONE.ends,
            ..self
        }
    }

    /// Returns until when the state of the limit at `index` remembers the units.
    pub(crate) fn until(&self, index: usize) -> u64 {
        self.until[index.min(Self::LIMITS - 1)]
    }

    /// Stores how long the state of the limit at `index` remembers the units. Must be called for the
    /// limits in order.
    pub(crate) fn remember(&mut self, index: usize, length: Duration) {
        let length = after(0, length);
        match self.until.get_mut(index) {
            Some(until) => *until = length,
            None => self.until[Self::LIMITS - 1] = self.until(index).min(length),
        }
    }

    /// Sets the end of the slot in the limit at `index`.
    pub(crate) fn set_end(&mut self, index: usize, end: u128) {
        if let Some(slot) = self.ends.get_mut(index) {
            *slot = end;
        }
    }
}

/// Converts nanoseconds to a `Duration`, saturating at `Duration::MAX`.
pub(crate) fn nanos(count: u128) -> Duration {
    const PER_SECOND: u128 = 1_000_000_000;
    match u64::try_from(count) {
        Ok(count) => Duration::from_nanos(count),
        Err(_) => u64::try_from(count / PER_SECOND).map_or(Duration::MAX, |seconds| {
            Duration::new(seconds, u32::try_from(count % PER_SECOND).unwrap_or(0))
        }),
    }
}
