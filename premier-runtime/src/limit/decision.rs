//! What a limit answers.

use std::time::Duration;

use crate::clock::after;

/// The answer of a limit to one call.
///
/// All times are relative to the instant of the decision. They are exact to one nanosecond in
/// memory and to one microsecond on Redis, rounded up: waiting that long is always enough.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// Whether the call may go ahead (after [`Decision::delay`]).
    pub allowed: bool,
    /// The capacity of the limit: the most units a fresh key can give at one instant.
    pub limit: u64,
    /// What could still be taken at this instant, after this call.
    pub remaining: u64,
    /// How long until an equal call would be admitted, if nobody else takes anything; zero when
    /// allowed.
    pub retry_after: Duration,
    /// How long until the state of the key equals that of one never seen.
    pub reset_after: Duration,
    /// How long an admitted call has to wait for its slot in a leaky bucket; zero for all others.
    pub delay: Duration,
    pub(crate) reservation: Reservation,
}

impl Decision {
    /// A decision about a limit of this capacity: allowed, with nothing remaining and no times.
    /// For implementors of [`Handler`](crate::Handler), who set the public fields they know.
    #[must_use]
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

    /// Notes when the cost was taken from a single limit, so that it can be given back.
    pub(crate) fn taken_at(mut self, now: u64) -> Self {
        self.reservation.remember(0, self.reset_after);
        self.all_taken_at(now)
    }

    /// Notes when the cost was taken from limits that each
    /// [remember](Reservation::remember) it for their own time.
    pub(crate) fn all_taken_at(mut self, now: u64) -> Self {
        self.reservation.since = now;
        for until in &mut self.reservation.until {
            *until = until.saturating_add(now);
        }
        self
    }

    /// Notes when the cost was taken, and where the slot of a queue ends if it is one.
    pub(crate) fn taken_in_slot(self, now: u64, end: Option<u128>) -> Self {
        let mut decision = self.taken_at(now);
        if let Some(end) = end {
            decision.reservation.set_end(0, end);
        }
        decision
    }
}

/// What a call took, as far as it can be given back without taking it from somebody else: by a
/// caller that does not want its admission any more.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reservation {
    /// The ends of reserved slots, one for each limit, in the units of the algorithm: enough to
    /// give a slot back as long as nobody has queued up behind it. Zero: none.
    ends: [u128; Self::LIMITS],
    /// When it was taken, in nanoseconds of the store's clock.
    pub(crate) since: u64,
    /// Until when the state of each limit remembers it; the last place also holds the earliest end of
    /// those beyond it.
    until: [u64; Self::LIMITS],
    /// Whether the memory that stands in for the store has decided.
    pub(crate) from_fallback: bool,
}

impl Reservation {
    /// How many limits of a queue can be decided as one.
    pub(crate) const LIMITS: usize = 4;

    pub(crate) const NONE: Self = Self {
        ends: [0; Self::LIMITS],
        since: 0,
        until: [0; Self::LIMITS],
        from_fallback: false,
    };

    /// Of the slot that ends here.
    pub(crate) const fn ending(end: u128) -> Self {
        let mut slot = Self::NONE;
        slot.ends[0] = end;
        slot
    }

    /// The end of the slot in the limit at `index`; 0 when there is none.
    pub(crate) fn end(&self, index: usize) -> u128 {
        self.ends.get(index).copied().unwrap_or(0)
    }

    /// Until when the state of the limit at `index` remembers it.
    pub(crate) fn until(&self, index: usize) -> u64 {
        self.until[index.min(Self::LIMITS - 1)]
    }

    /// Notes how long the state of the limit at `index` remembers it; called in order.
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

/// Nanoseconds as a `Duration`; what would not fit is the longest there is.
pub(crate) fn nanos(count: u128) -> Duration {
    const PER_SECOND: u128 = 1_000_000_000;
    match u64::try_from(count) {
        Ok(count) => Duration::from_nanos(count),
        Err(_) => u64::try_from(count / PER_SECOND).map_or(Duration::MAX, |seconds| {
            Duration::new(seconds, u32::try_from(count % PER_SECOND).unwrap_or(0))
        }),
    }
}
