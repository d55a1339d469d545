//! A limit, checked and with everything computed that a decision needs.

use std::time::Duration;

use super::rule::Rule;
use crate::error::Error;
use crate::limit::decision::{Decision, nanos};
use crate::limit::quota::Limit;

/// A [`Limit`] that has been validated, with its emission interval T = period / quota as a fraction
/// in lowest terms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plan {
    limit: Limit,
    period: u64,
    capacity: u64,
    /// T = interval / den nanoseconds.
    interval: u64,
    den: u64,
    rule: Rule<u128>,
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
            period: limit.period_nanos(),
            capacity: limit.capacity(),
            interval,
            den,
            rule: Rule::new(&limit),
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
        self.capacity
    }

    /// The period in nanoseconds.
    #[must_use]
    pub const fn period(&self) -> u64 {
        self.period
    }

    pub(crate) const fn rule(&self) -> &Rule<u128> {
        &self.rule
    }

    /// Whether an admitted call may have to wait for its slot.
    pub(crate) const fn is_queue(&self) -> bool {
        match &self.rule {
            Rule::Gcra(gcra) => gcra.is_queue(),
            Rule::Log(_) | Rule::Window(_) => false,
        }
    }

    /// Whether the instant is known at which a call will be admitted.
    pub(crate) const fn is_bucket(&self) -> bool {
        matches!(self.rule, Rule::Gcra(_))
    }

    /// How many ticks of [`Plan::den`] the emission interval has.
    pub(crate) const fn interval(&self) -> u64 {
        self.interval
    }

    /// A tick is 1/den of a nanosecond: the coarsest unit in which T is a whole number.
    pub(crate) const fn den(&self) -> u64 {
        self.den
    }

    /// `units` · T in ticks.
    pub(crate) const fn ticks(&self, units: u64) -> u128 {
        units as u128 * self.interval as u128
    }

    pub(crate) fn decision(&self) -> Decision {
        Decision::new(self.capacity)
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
            let ticks = u128::from(units).saturating_mul(u128::from(self.interval));
            nanos((ticks / u128::from(self.den)).saturating_sub(1))
        };
        let in_windows = || {
            let together = u128::from(head) + u128::from(units);
            let quota = u128::from(self.limit.quota());
            let periods = together.div_ceil(quota).saturating_sub(1);
            nanos(periods.saturating_mul(u128::from(self.period)))
        };
        match &self.rule {
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
