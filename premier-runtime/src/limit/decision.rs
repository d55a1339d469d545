//! Decisions, and reservations by which the units of a decision can be released.

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
    /// How long until one unit more than [`Decision::remaining`] can be taken, if the caller takes all of `remaining`
    /// now; zero if the store does not say. Of several limits, that of the tightest.
    ///
    /// A client that keeps to `remaining` within this time, and then takes one unit, is not denied unless other
    /// clients share its key. This is the parameter `t` of the `RateLimit` field in HTTP.
    pub more_after: Duration,
    /// How long until a call of equal cost would be admitted, if no other call takes units until then; zero
    /// when this call is allowed.
    pub retry_after: Duration,
    /// How long until the key is as if it had never been used, if no other call takes units until
    /// then.
    pub reset_after: Duration,
    /// How long an admitted call must wait for its slot in a leaky bucket; zero for other algorithms.
    pub delay: Duration,
    /// Which of several limits the decision is about.
    pub(crate) limits: DecidingLimits,
    /// When and where the cost was taken, to release it.
    pub(crate) reservation: Reservation,
}

/// Which of several limits that decide as one a decision is about. The default is for a single limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct DecidingLimits {
    /// The index of the limit whose `limit`, `remaining` and `more_after` the decision has.
    pub(crate) tightest: u8,
    /// One bit for each of the first 32 limits: whether it denies the call.
    pub(crate) denying: u32,
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
            more_after: Duration::ZERO,
            retry_after: Duration::ZERO,
            reset_after: Duration::ZERO,
            delay: Duration::ZERO,
            limits: DecidingLimits {
                tightest: 0,
                denying: 0,
            },
            reservation: Reservation::NONE,
        }
    }

    /// Returns the reservation by which a store can release the units that this decision took.
    ///
    /// ```
    /// use premier::algorithms::Plan;
    /// use premier::{Handler, Key, Limit, MemoryHandler, Operation, Request};
    /// use std::time::Duration;
    ///
    /// let (store, key) = (MemoryHandler::new(), Key::new("shop:pay:fixed_window", None));
    /// let plans = [Plan::new(Limit::fixed_window(3, Duration::from_secs(60)))?];
    /// let taken = store.handle(&Request::new(key, &plans, Operation::Take(2)))?;
    /// let release = Operation::Release(*taken.reservation(), 2);
    /// assert_eq!(store.handle(&Request::new(key, &plans, release))?.remaining, 3);
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub const fn reservation(&self) -> &Reservation {
        &self.reservation
    }

    /// Sets what [`Decision::reservation`] returns. The default is a reservation by which no units can be
    /// released.
    ///
    /// For implementations of [`Handler`](crate::Handler) that do not decide by
    /// [`Request::apply`](crate::Request::apply), which sets it.
    ///
    /// ```
    /// use premier::{Decision, Reservation};
    ///
    /// let now = 5_000_000_000;
    /// let mut reservation = Reservation::new(now);
    /// reservation.set_limit(0, None, now + 1_000_000_000);
    /// let decision = Decision::new(10).with_reservation(reservation);
    /// assert_eq!(decision.reservation().taken_at(), now);
    /// ```
    pub const fn with_reservation(mut self, reservation: Reservation) -> Self {
        self.reservation = reservation;
        self
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

/// The units that an admitted call took, and when and where, so that a store can release them.
///
/// A caller that stops waiting gives its units back with
/// [`Operation::Release`](crate::Operation::Release). The reservation says which units can still be
/// given back without taking them from other callers.
///
/// [`Request::apply`](crate::Request::apply) reads and writes reservations. A store that decides by a script must
/// do so, too, for each limit of the request:
///
/// | algorithm | the units are given back |
/// | --- | --- |
/// | a bucket, with [`slot_end`](Reservation::slot_end) | if the theoretical arrival time of the state is still the end of the slot: it becomes the beginning of the slot |
/// | a bucket, without | while the time is before [`counted_until`](Reservation::counted_until) |
/// | a window | if the window of the state began at [`taken_at`](Reservation::taken_at) or before |
/// | a sliding log | if it has an entry of [`taken_at`](Reservation::taken_at), and at most 128 newer ones |
///
/// ```
/// use premier::Reservation;
///
/// let mut reservation = Reservation::new(1_000);
/// reservation.set_limit(0, Some(9_000), 3_000);
/// reservation.set_limit(1, None, 8_000);
/// assert_eq!((reservation.slot_end(0), reservation.counted_until(0)), (Some(9_000), 3_000));
/// assert_eq!((reservation.slot_end(1), reservation.counted_until(1)), (None, 8_000));
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reservation {
    /// The end of the reserved slot in each limit that is a leaky bucket, in ticks of its plan, or 0.
    /// A slot can be given back while it is the last one of the queue.
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

    /// Creates a reservation of units that were taken at this time, in nanoseconds of the store's clock. No
    /// limit remembers them until [`Reservation::set_limit`] says how long.
    #[must_use]
    pub const fn new(taken_at: u64) -> Self {
        Self {
            since: taken_at,
            until: [taken_at; Self::LIMITS],
            ..Self::NONE
        }
    }

    /// Sets the slot and the time for the limit at `index` of the request's plans. Must be called for the limits in
    /// order.
    ///
    /// `slot_end` is the end of the slot in a bucket, in ticks of its plan (see
    /// [`Plan::emission_interval`](crate::algorithms::Plan::emission_interval)), if the call is delayed to a
    /// slot there. `counted_until` is when the state will be as if the units had not been taken, in
    /// nanoseconds of the store's clock. Slots of a fifth limit and further ones are not kept, and of their
    /// times the earliest.
    pub const fn set_limit(&mut self, index: usize, slot_end: Option<u128>, counted_until: u64) {
        if index < Self::LIMITS {
            self.until[index] = counted_until;
            self.ends[index] = match slot_end {
                Some(end) => end,
                None => 0,
            };
        } else if counted_until < self.until[Self::LIMITS - 1] {
            self.until[Self::LIMITS - 1] = counted_until;
        }
    }

    /// Returns when the units were taken, in nanoseconds of the store's clock.
    #[must_use]
    pub const fn taken_at(&self) -> u64 {
        self.since
    }

    /// Returns the end of the slot that was taken in the limit at `index` of the request's plans, in ticks of
    /// that plan (see [`Plan::emission_interval`](crate::algorithms::Plan::emission_interval)), or `None` if
    /// it has none.
    #[must_use]
    pub fn slot_end(&self, index: usize) -> Option<u128> {
        Some(self.end(index)).filter(|end| *end != 0)
    }

    /// Returns when the limit at `index` of the request's plans will have forgotten the units, in
    /// nanoseconds of the store's clock.
    #[must_use]
    pub fn counted_until(&self, index: usize) -> u64 {
        self.until(index)
    }

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

    /// Returns this reservation for a caller whose wait is over: its units are released as if it had not
    /// waited.
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
