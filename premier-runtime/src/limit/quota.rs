//! A limit as the user states it: so many units per period, decided by an algorithm.

use std::fmt;
use std::time::Duration;

use crate::error::Error;
use crate::limit::algo::Algo;

/// A limit: `quota` units per period, decided by an [`Algo`].
///
/// Building one never fails; a value out of range is a [`Error::Config`] from
/// [`Limit::validate`] and from the first decision.
///
/// Ranges: quota from 1 to 1e9 units per second (sliding log: at most 100,000), period from 1 µs
/// to 366 days, burst from 1 to 2^32, bucket size from 0 to 2^32.
///
/// ```
/// use premier::Limit;
/// use std::time::Duration;
///
/// let limit = Limit::token_bucket(3, Duration::from_secs(5)).burst(10);
/// assert_eq!(limit.capacity(), 10);
/// assert!(Limit::fixed_window(0, Duration::from_secs(1)).validate().is_err());
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Limit {
    algo: Algo,
    quota: u64,
    period: Duration,
    burst: Option<u64>,
    bucket_size: Option<u64>,
}

impl Limit {
    /// `quota` units per `period`, by `algo`.
    #[must_use]
    pub const fn new(algo: Algo, quota: u64, period: Duration) -> Self {
        Self {
            algo,
            quota,
            period,
            burst: None,
            bucket_size: None,
        }
    }

    /// At most `quota` units in a window of `period` that opens at the first call.
    #[must_use]
    pub const fn fixed_window(quota: u64, period: Duration) -> Self {
        Self::new(Algo::FixedWindow, quota, period)
    }

    /// At most `quota` units in the last `period`, estimated from two counters.
    #[must_use]
    pub const fn sliding_window(quota: u64, period: Duration) -> Self {
        Self::new(Algo::SlidingWindow, quota, period)
    }

    /// At most `quota` units in any `period`, exactly.
    #[must_use]
    pub const fn sliding_log(quota: u64, period: Duration) -> Self {
        Self::new(Algo::SlidingLog, quota, period)
    }

    /// A bucket of `quota` tokens (or [`Limit::burst`]) that refills `quota` per `period`.
    #[must_use]
    pub const fn token_bucket(quota: u64, period: Duration) -> Self {
        Self::new(Algo::TokenBucket, quota, period)
    }

    /// A queue of `quota` calls (or [`Limit::bucket_size`]) that runs `quota` per `period`.
    #[must_use]
    pub const fn leaky_bucket(quota: u64, period: Duration) -> Self {
        Self::new(Algo::LeakyBucket, quota, period)
    }

    /// This limit by another algorithm.
    pub(crate) const fn with_algo(mut self, algo: Algo) -> Self {
        self.algo = algo;
        self
    }

    /// How many tokens a token bucket holds. Default: the quota.
    #[must_use]
    pub const fn burst(mut self, tokens: u64) -> Self {
        self.burst = Some(tokens);
        self
    }

    /// How many units may wait in a leaky bucket; 0 means that nobody waits. Default: the quota.
    #[must_use]
    pub const fn bucket_size(mut self, units: u64) -> Self {
        self.bucket_size = Some(units);
        self
    }

    /// The algorithm that decides.
    #[must_use]
    pub const fn algo(&self) -> Algo {
        self.algo
    }

    /// Units admitted per period.
    #[must_use]
    pub const fn quota(&self) -> u64 {
        self.quota
    }

    /// The period the quota is for.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// The most units that can be taken at one instant from a fresh key: the burst of a token
    /// bucket, one running unit and the waiting ones of a leaky bucket, otherwise the quota. A
    /// call that costs more is never admitted.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        match self.algo {
            Algo::TokenBucket => match self.burst {
                Some(tokens) => tokens,
                None => self.quota,
            },
            Algo::LeakyBucket => match self.bucket_size {
                Some(units) => units.saturating_add(1),
                None => self.quota.saturating_add(1),
            },
            Algo::FixedWindow | Algo::SlidingLog | Algo::SlidingWindow => self.quota,
        }
    }

    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`Error::Config`] that names the first value that is out of range.
    pub fn validate(&self) -> Result<(), Error> {
        self.check().map_err(Error::config)
    }

    /// The period in nanoseconds, once validated.
    pub(crate) fn period_nanos(&self) -> u64 {
        u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The emission interval period / quota in lowest terms: its ticks, and how many of them are a
    /// nanosecond.
    pub(crate) fn emission_interval(&self) -> (u64, u64) {
        let (period, quota) = (self.period_nanos(), self.quota);
        let divisor = greatest_common_divisor(period, quota);
        (period / divisor, quota / divisor)
    }

    fn check(&self) -> Result<(), String> {
        premier_parse::check_quota(u128::from(self.quota))?;
        premier_parse::check_period(self.period_nanos())?;
        premier_parse::check_rate(self.quota, self.period_nanos())?;
        if self.algo.remembers_units() {
            premier_parse::check_log_quota(self.quota)?;
        }
        if let Some(burst) = self.burst {
            if !self.algo.takes_burst() {
                return Err(format!("burst is for token_bucket, not for {}", self.algo));
            }
            premier_parse::check_burst(u128::from(burst))?;
        }
        if let Some(size) = self.bucket_size {
            if !self.algo.takes_bucket_size() {
                return Err(format!(
                    "bucket_size is for leaky_bucket, not for {}",
                    self.algo
                ));
            }
            premier_parse::check_bucket_size(u128::from(size))?;
        }
        Ok(())
    }
}

/// Euclid's algorithm.
const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// As in an attribute: `token_bucket 100/60s, burst 20`.
impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            algo,
            quota,
            period,
            burst,
            bucket_size,
        } = self;
        write!(formatter, "{algo} {quota}/{period:?}")?;
        if let Some(tokens) = burst {
            write!(formatter, ", burst {tokens}")?;
        }
        match bucket_size {
            Some(units) => write!(formatter, ", bucket size {units}"),
            None => Ok(()),
        }
    }
}
