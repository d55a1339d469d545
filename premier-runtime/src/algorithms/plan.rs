//! A limit, checked and with everything computed that a decision needs.

use std::time::Duration;

use crate::Error;
use crate::decision::{Decision, nanos};
use crate::limit::{Algo, Limit};

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
        Ok(Self {
            limit,
            period,
            capacity: limit.capacity(),
            interval: period / divisor,
            den: limit.quota() / divisor,
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

    pub(crate) fn earliest_behind(&self, head: u64, units: u64) -> Duration {
        let together = u128::from(head) + u128::from(units);
        let quota = u128::from(self.limit.quota());
        let periods = match self.limit.algo() {
            // The head leaves less than one nanosecond's worth of a token behind.
            Algo::TokenBucket | Algo::LeakyBucket => {
                let ticks = u128::from(units).saturating_mul(u128::from(self.interval));
                return nanos((ticks / u128::from(self.den)).saturating_sub(1));
            }
            Algo::FixedWindow | Algo::SlidingLog => together.div_ceil(quota).saturating_sub(1),
            // Two counters may hold a quota each within little more than one period.
            Algo::SlidingWindow => together.div_ceil(quota).saturating_sub(2),
        };
        nanos(periods.saturating_mul(u128::from(self.period)))
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
