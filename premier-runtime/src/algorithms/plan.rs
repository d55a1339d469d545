//! A validated limit, with the numbers that its decisions need.

use std::time::Duration;

use super::numbers::Numbers;
use super::rule::Rule;
use crate::error::Error;
use crate::limit::decision::{Decision, nanos};
use crate::limit::quota::Limit;

/// A [`Limit`] that has been validated, with its emission interval T = period / quota as a fraction
/// in lowest terms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plan {
    limit: Limit,
    numbers: Numbers,
}

impl Plan {
    /// Validates a limit.
    ///
    /// # Errors
    /// [`Error::Config`] when a number is out of its range.
    pub fn new(limit: Limit) -> Result<Self, Error> {
        limit.validate()?;
        let (interval, den) = limit.emission_interval();
        Ok(Self {
            limit,
            numbers: Numbers {
                quota: limit.quota(),
                period: limit.period_nanos(),
                capacity: limit.capacity(),
                interval,
                den,
            },
        })
    }

    /// The limit that this was made from.
    #[must_use]
    pub const fn limit(&self) -> &Limit {
        &self.limit
    }

    /// The most a single call may cost; see [`Limit::capacity`].
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.numbers.capacity
    }

    /// How many units a key may owe after a charge that states `max_debt`.
    pub(crate) fn max_debt(&self, stated: Option<u64>) -> u64 {
        stated.unwrap_or(self.numbers.capacity)
    }

    /// The period in nanoseconds.
    #[must_use]
    pub const fn period(&self) -> u64 {
        self.numbers.period
    }

    // Computed at each use: there may be many limits, and a rule takes as much memory as the rest of a plan.
    pub(crate) const fn rule(&self) -> Rule<u128> {
        Rule::new(self.limit.algo(), &self.numbers)
    }

    /// Returns the emission interval T = period / quota, the time in which a bucket regains one unit, as a
    /// fraction in lowest terms: numerator and denominator, in nanoseconds.
    ///
    /// The denominator is also how many ticks a nanosecond has where instants are counted in ticks, as by
    /// [`Reservation::slot_end`](crate::Reservation::slot_end): in ticks every multiple of T is a whole
    /// number, and T is the numerator.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::algorithms::Plan;
    /// use std::time::Duration;
    ///
    /// let plan = Plan::new(Limit::token_bucket(3, Duration::from_secs(1)))?;
    /// assert_eq!(plan.emission_interval(), (1_000_000_000, 3));
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub const fn emission_interval(&self) -> (u64, u64) {
        (self.numbers.interval, self.numbers.den)
    }

    /// Returns whether admitted calls wait in a queue for their slots, as in a leaky bucket.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::algorithms::Plan;
    /// use std::time::Duration;
    ///
    /// let second = Duration::from_secs(1);
    /// assert!(Plan::new(Limit::leaky_bucket(3, second))?.is_queue());
    /// assert!(!Plan::new(Limit::token_bucket(3, second))?.is_queue());
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub const fn is_queue(&self) -> bool {
        match self.rule() {
            Rule::Gcra(gcra) => gcra.is_queue(),
            Rule::Log(_) | Rule::Window(_) => false,
        }
    }

    /// Returns whether the limit is a token or leaky bucket, whose state is one instant, so that a caller
    /// can take a slot in the future.
    ///
    /// ```
    /// use premier::Limit;
    /// use premier::algorithms::Plan;
    /// use std::time::Duration;
    ///
    /// let second = Duration::from_secs(1);
    /// assert!(Plan::new(Limit::token_bucket(3, second))?.is_bucket());
    /// assert!(!Plan::new(Limit::sliding_log(3, second))?.is_bucket());
    /// # Ok::<(), premier::Error>(())
    /// ```
    #[must_use]
    pub const fn is_bucket(&self) -> bool {
        matches!(self.rule(), Rule::Gcra(_))
    }

    /// How many ticks of [`Plan::den`] the emission interval has.
    pub(crate) const fn interval(&self) -> u64 {
        self.numbers.interval
    }

    /// A tick is 1/den of a nanosecond: the coarsest unit in which T is a whole number.
    pub(crate) const fn den(&self) -> u64 {
        self.numbers.den
    }

    /// `units` · T in ticks.
    pub(crate) const fn ticks(&self, units: u64) -> u128 {
        units as u128 * self.numbers.interval as u128
    }

    pub(crate) fn decision(&self) -> Decision {
        Decision::new(self.numbers.capacity)
    }

    /// The denial of a call whose cost is above the capacity.
    pub(crate) fn never(&self) -> Decision {
        Decision {
            allowed: false,
            retry_after: Duration::MAX,
            ..self.decision()
        }
    }

    /// See [`earliest_behind`](super::earliest_behind).
    pub(super) fn earliest_behind(&self, head: u64, units: u64) -> Duration {
        let paced = || {
            let ticks = u128::from(units).saturating_mul(u128::from(self.numbers.interval));
            nanos((ticks / u128::from(self.numbers.den)).saturating_sub(1))
        };
        let in_windows = || {
            let together = u128::from(head) + u128::from(units);
            let quota = u128::from(self.limit.quota());
            let periods = together.div_ceil(quota).saturating_sub(1);
            nanos(periods.saturating_mul(u128::from(self.numbers.period)))
        };
        match self.rule() {
            // The head is admitted as soon as it can be, so it leaves less than one nanosecond's worth
            // of a unit.
            Rule::Gcra(_) => paced(),
            // No previous window holds more than the quota, so a sliding window makes room no faster
            // than a bucket.
            Rule::Window(window) if window.slides() => paced(),
            Rule::Log(_) | Rule::Window(_) => in_windows(),
        }
    }
}
