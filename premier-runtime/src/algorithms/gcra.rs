//! The generic cell rate algorithm, by which token buckets and leaky buckets decide.
//!
//! The whole state of a key is one instant, the theoretical arrival time (TAT): when the next unit
//! would be due if units came exactly one emission interval T apart. With a capacity of B units, a
//! call of cost c at t is admitted when max(TAT, t) − t + c·T ≤ B·T, and then moves the TAT to
//! max(TAT, t) + c·T (ITU-T I.371, annex A: the virtual scheduling algorithm).
//!
//! A leaky bucket has room for the unit that runs and the units that wait: an admitted call runs at max(TAT, t)
//! instead of at once.
//!
//! A call that may wait reserves its slot when it arrives: it moves the TAT even if the debt is more than
//! B·T then, and runs when the debt will have come down to B·T without it.
//!
//! Instants are ticks of 1/den nanosecond, the coarsest unit in which T is a whole number. They are
//! `u64` in the packed representation and `u128` where that overflows.

use std::ops::{Add, Div, Mul, Sub};
use std::time::Duration;

use super::answer::Answer;
use crate::limit::decision::{Decision, nanos};

/// A count of ticks.
pub(crate) trait Ticks:
    Copy
    + From<u64>
    + Ord
    + Add<Output = Self>
    + Div<Output = Self>
    + Mul<Output = Self>
    + Sub<Output = Self>
{
    /// As time, rounded up; `den` ticks are a nanosecond.
    fn duration(self, den: u64) -> Duration;

    /// As a number of units; it is at most a capacity.
    fn units(self) -> u64;
}

impl Ticks for u64 {
    #[inline]
    fn duration(self, den: u64) -> Duration {
        Duration::from_nanos(in_nanos(self, den))
    }

    #[inline]
    fn units(self) -> u64 {
        self
    }
}

/// Ticks as nanoseconds, rounded up.
#[inline]
fn in_nanos(ticks: u64, den: u64) -> u64 {
    match den {
        1 => ticks,
        den => ticks.div_ceil(den),
    }
}

impl Ticks for u128 {
    fn duration(self, den: u64) -> Duration {
        nanos(self.div_ceil(Self::from(den)))
    }

    fn units(self) -> u64 {
        self as u64
    }
}

/// A limit as GCRA computes with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Gcra<T> {
    /// The emission interval T.
    interval: T,
    /// capacity · T: the longest debt.
    full: T,
    /// The most that a call may cost.
    capacity: u64,
    den: u64,
    /// Whether an admitted call waits until the TAT, as in a leaky bucket.
    is_queue: bool,
}

/// A call at its arrival, in ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<T> {
    now: T,
    /// When its slot begins: at the TAT, but not before it arrives.
    start: T,
    /// cost · T.
    charge: T,
}

/// Instants and debts of the packed representation stay below this, so that sums of three fit.
pub(super) const LARGEST: u64 = 1 << 62;

impl Gcra<u128> {
    pub(super) const fn new(capacity: u64, interval: u64, den: u64, is_queue: bool) -> Self {
        Self {
            interval: interval as u128,
            // Capacities are below 2^55 and intervals too, so the product fits.
            full: capacity as u128 * interval as u128,
            capacity,
            den,
            is_queue,
        }
    }

    /// This limit for the packed representation, if its debts fit.
    pub(super) fn narrow(&self) -> Option<Gcra<u64>> {
        let full = u64::try_from(self.full)
            .ok()
            .filter(|full| *full < LARGEST)?;
        Some(Gcra {
            interval: u64::try_from(self.interval).ok()?,
            full,
            capacity: self.capacity,
            den: self.den,
            is_queue: self.is_queue,
        })
    }
}

impl Gcra<u128> {
    /// Whether the slot of a call begins within `longest` nanoseconds.
    pub(super) fn admits_within(&self, call: &Arrival<u128>, longest: u64) -> bool {
        self.delay(call) <= u128::from(longest) * u128::from(self.den)
    }

    /// When the slot of a call begins, from its arrival on.
    pub(super) fn slot_after(&self, call: &Arrival<u128>) -> Duration {
        self.delay(call).duration(self.den)
    }

    /// The TAT after a charge of `units` at `now`, at most a full debt and `max_debt` units ahead. A TAT further
    /// ahead does not change.
    pub(super) fn charged(&self, tat: u128, now: u128, units: u64, max_debt: u64) -> u128 {
        let ticks = |units: u64| self.interval * u128::from(units);
        let start = tat.max(now);
        let latest = now + self.full + ticks(max_debt);
        (start + ticks(units)).min(latest).max(start)
    }

    /// Whether a TAT lies further ahead of `now` than calls that need not wait can have moved it.
    pub(super) fn exceeds_full_debt(&self, tat: u128, now: u128) -> bool {
        tat > now + self.full
    }
}

impl Gcra<u64> {
    /// The answer to a denied call.
    #[inline]
    pub(crate) fn denied<A: Answer>(&self, call: Arrival<u64>) -> A {
        A::denied(
            || in_nanos(self.retry_after(&call), self.den),
            || self.decision(&call, false, false),
        )
    }
}

impl<T: Ticks> Gcra<T> {
    pub(crate) const fn den(&self) -> u64 {
        self.den
    }

    pub(super) const fn full(&self) -> T {
        self.full
    }

    pub(crate) const fn is_queue(&self) -> bool {
        self.is_queue
    }

    /// Whether a call may cost this much, and costs anything.
    #[inline]
    pub(crate) const fn has(&self, cost: u64) -> bool {
        // A cost of 0 wraps.
        cost.wrapping_sub(1) < self.capacity
    }

    /// A call of `cost` units, at most the capacity.
    #[inline]
    pub(crate) fn arrive(&self, tat: T, now: T, cost: u64) -> Arrival<T> {
        Arrival {
            now,
            start: tat.max(now),
            charge: self.interval * T::from(cost),
        }
    }

    #[inline]
    pub(crate) fn admits(&self, call: &Arrival<T>) -> bool {
        call.wait() + call.charge <= self.full
    }

    /// Whether the TAT lies further ahead than a full debt. That happens only when the clock stepped
    /// back or the limit changed.
    #[inline]
    pub(crate) fn is_beyond(&self, call: &Arrival<T>) -> bool {
        call.wait() > self.full
    }

    /// Whether a call that a full debt admits has to wait.
    #[inline]
    pub(crate) fn delays(&self, call: &Arrival<T>) -> bool {
        self.is_queue && call.wait() > T::from(0) && call.charge > T::from(0)
    }

    /// How long a call waits for its slot.
    #[inline]
    fn delay(&self, call: &Arrival<T>) -> T {
        let debt = call.wait() + call.charge;
        if call.charge == T::from(0) {
            T::from(0)
        } else if self.is_queue {
            call.wait()
        } else if debt > self.full {
            debt - self.full
        } else {
            T::from(0)
        }
    }

    /// How long until a denied call would be admitted.
    #[inline]
    pub(crate) fn retry_after(&self, call: &Arrival<T>) -> T {
        call.wait() + call.charge - self.full
    }

    /// The decision about a call, which may have taken its cost.
    #[inline]
    pub(crate) fn decision(&self, call: &Arrival<T>, allowed: bool, taken: bool) -> Decision {
        let debt = match taken {
            true => call.wait() + call.charge,
            false => call.wait(),
        };
        let mut decision = Decision::new(self.capacity);
        decision.allowed = allowed;
        // Waiting callers owe more than a full debt.
        let free = self.full - debt.min(self.full);
        let units = free / self.interval;
        decision.remaining = units.units();
        let one_more = self.interval * (units + T::from(1));
        decision.more_after = (one_more + debt - self.full).duration(self.den);
        decision.reset_after = debt.duration(self.den);
        if !allowed {
            // The queue has room for this call, but its slot begins too late for the caller.
            let debt = (call.wait() + call.charge).max(self.full);
            decision.retry_after = (debt - self.full).duration(self.den);
        } else {
            decision.delay = self.delay(call).duration(self.den);
        }
        decision
    }

    /// The TAT after a refund of `units` at `now`.
    pub(super) fn refunded(&self, tat: T, now: T, units: u64) -> T {
        let given = self.interval * T::from(units);
        let debt = tat.max(now) - now;
        now + (debt - given.min(debt))
    }
}

impl<T: Ticks> Arrival<T> {
    /// How far the TAT lies ahead of the arrival.
    #[inline]
    fn wait(&self) -> T {
        self.start - self.now
    }

    /// The TAT once the call is admitted.
    #[inline]
    pub(crate) fn tat(&self) -> T {
        self.start + self.charge
    }
}
