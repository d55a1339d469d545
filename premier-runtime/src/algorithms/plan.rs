//! A limit, checked and with everything computed that a decision needs.

use std::time::Duration;

use crate::error::Error;
use crate::limit::algo::Algo;
use crate::limit::decision::{Decision, nanos};
use crate::limit::quota::Limit;

/// A [`Limit`] that has been validated, with its emission interval T = period / quota as a
/// fraction in lowest terms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plan {
    limit: Limit,
    period: u64,
    capacity: u64,
    /// T = interval / den nanoseconds.
    interval: u64,
    den: u64,
    /// capacity · T in ticks.
    full: u128,
}

impl Plan {
    /// Validates a limit.
    ///
    /// # Errors
    /// [`Error::Config`] when a number is out of its range.
    pub fn new(limit: Limit) -> Result<Self, Error> {
        limit.validate()?;
        let period = limit.period_nanos();
        let divisor = greatest_common_divisor(period, limit.quota());
        let (capacity, interval) = (limit.capacity(), period / divisor);
        let full = u128::from(capacity) * u128::from(interval);
        Ok(Self {
            limit,
            period,
            capacity,
            interval,
            den: limit.quota() / divisor,
            full,
        })
    }

    /// The limit this was made of.
    #[must_use]
    pub const fn limit(&self) -> &Limit {
        &self.limit
    }

    /// The most a single call may cost; see [`Limit::capacity`].
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The period in nanoseconds.
    #[must_use]
    pub const fn period(&self) -> u64 {
        self.period
    }

    /// How many ticks of [`Plan::den`] the emission interval has.
    pub(crate) const fn interval(&self) -> u64 {
        self.interval
    }

    /// A tick is 1/den of a nanosecond: the coarsest unit in which T is a whole number.
    pub(crate) const fn den(&self) -> u64 {
        self.den
    }

    /// `units` · T in ticks. Units are at most a capacity, so this fits: 2^55 · 2^55 for the
    /// largest quota, 2^33 · 2^55 for the largest burst or queue.
    pub(crate) const fn ticks(&self, units: u64) -> u128 {
        units as u128 * self.interval as u128
    }

    /// The longest debt there can be, in ticks.
    pub(crate) const fn full(&self) -> u128 {
        self.full
    }

    /// Ticks as nanoseconds, rounded up.
    pub(crate) fn duration(&self, ticks: u128) -> Duration {
        nanos(ticks.div_ceil(u128::from(self.den)))
    }

    pub(crate) fn decision(&self) -> Decision {
        Decision::new(self.capacity)
    }

    pub(crate) fn never(&self) -> Decision {
        Decision {
            allowed: false,
            retry_after: Duration::MAX,
            ..self.decision()
        }
    }

    /// See [`earliest_behind`](super::earliest_behind).
    pub(super) fn earliest_behind(&self, head: u64, units: u64) -> Duration {
        let quota = u128::from(self.limit.quota());
        match self.limit.algo() {
            // What the head leaves behind is less than a nanosecond's worth of a unit: it was
            // admitted as soon as there was enough. A sliding window gives room no faster than a
            // bucket does, for no previous window holds more than the quota.
            Algo::LeakyBucket | Algo::SlidingWindow | Algo::TokenBucket => {
                let ticks = u128::from(units).saturating_mul(u128::from(self.interval));
                nanos((ticks / u128::from(self.den)).saturating_sub(1))
            }
            Algo::FixedWindow | Algo::SlidingLog => {
                let together = u128::from(head) + u128::from(units);
                let periods = together.div_ceil(quota).saturating_sub(1);
                nanos(periods.saturating_mul(u128::from(self.period)))
            }
        }
    }

    /// See [`queue_time`](super::queue_time).
    pub(super) fn queue_time(&self, cost: u64) -> Duration {
        match self.limit.algo() {
            Algo::LeakyBucket => {
                let ahead = self.limit.bucket_size_or_default();
                nanos(
                    self.ticks(ahead.saturating_sub(cost.saturating_sub(1))) / u128::from(self.den),
                )
            }
            _ => Duration::ZERO,
        }
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
