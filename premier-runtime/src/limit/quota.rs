//! A limit as the user states it: a quota of units per period, and an algorithm.

use std::time::Duration;

use crate::error::Error;
use crate::limit::algo::Algo;
use crate::limit::lease::Lease;

/// A limit of `quota` units per period, decided by an [`Algo`].
///
/// Building a limit never fails. A value out of range is an [`Error::Config`] from
/// [`Limit::validate`] and from the first decision.
///
/// | value | range | default |
/// | --- | --- | --- |
/// | quota | at least 1, at most 1e9 units per second; sliding log: at most 100,000 | none |
/// | period | 1 µs to 366 days | none |
/// | burst | 1 to 2^32 tokens | the quota |
/// | bucket size | 0 to 2^32 units | the quota |
///
/// `Display` writes the limit with its algorithm, such as `token_bucket 100/60s, burst 20`, and `FromStr`
/// reads that and shorter forms, such as `100/min` or `5/s burst 10`. With the feature
/// `serde` this text stands for a limit in a configuration file.
///
/// ```
/// use premier::Limit;
/// use std::time::Duration;
///
/// let limit = Limit::token_bucket(3, Duration::from_secs(5)).burst(10);
/// assert_eq!(limit.capacity(), 10);
/// assert!(Limit::fixed_window(0, Duration::from_secs(1)).validate().is_err());
///
/// let parsed: Limit = "token_bucket 3/5s, burst 10".parse()?;
/// assert_eq!(parsed, limit);
/// assert_eq!(limit.to_string().parse::<Limit>()?, limit);
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Limit {
    algo: Algo,
    quota: u64,
    period: Duration,
    burst: Option<u64>,
    bucket_size: Option<u64>,
    lease: Option<Lease>,
}

impl Limit {
    /// Creates a limit of `quota` units per `period`, decided by `algo`.
    ///
    /// ```
    /// use premier::{Algo, Limit};
    /// use std::time::Duration;
    ///
    /// let limit = Limit::new(Algo::SlidingLog, 5, Duration::from_secs(60));
    /// assert_eq!(limit, Limit::sliding_log(5, Duration::from_secs(60)));
    /// ```
    #[must_use]
    pub const fn new(algo: Algo, quota: u64, period: Duration) -> Self {
        Self {
            algo,
            quota,
            period,
            burst: None,
            bucket_size: None,
            lease: None,
        }
    }

    /// Creates a limit of `quota` units per window of `period`, decided by [`Algo::FixedWindow`].
    ///
    /// ```
    /// use premier::Limit;
    /// use std::time::Duration;
    ///
    /// let limit = Limit::fixed_window(100, Duration::from_secs(60));
    /// assert_eq!(limit.to_string(), "fixed_window 100/60s");
    /// ```
    #[must_use]
    pub const fn fixed_window(quota: u64, period: Duration) -> Self {
        Self::new(Algo::FixedWindow, quota, period)
    }

    /// Creates a limit of `quota` units in the last `period`, estimated from two counters, decided by
    /// [`Algo::SlidingWindow`].
    ///
    /// ```
    /// use premier::Limit;
    /// use std::time::Duration;
    ///
    /// let limit = Limit::sliding_window(100, Duration::from_secs(60));
    /// assert_eq!(limit.to_string(), "sliding_window 100/60s");
    /// ```
    #[must_use]
    pub const fn sliding_window(quota: u64, period: Duration) -> Self {
        Self::new(Algo::SlidingWindow, quota, period)
    }

    /// Creates a limit of exactly `quota` units in any `period`, decided by [`Algo::SlidingLog`].
    ///
    /// ```
    /// use premier::Limit;
    /// use std::time::Duration;
    ///
    /// let limit = Limit::sliding_log(5, Duration::from_secs(60));
    /// assert_eq!(limit.to_string(), "sliding_log 5/60s");
    /// ```
    #[must_use]
    pub const fn sliding_log(quota: u64, period: Duration) -> Self {
        Self::new(Algo::SlidingLog, quota, period)
    }

    /// Creates a bucket that is refilled with `quota` tokens per `period`, decided by
    /// [`Algo::TokenBucket`]. It holds `quota` tokens unless [`Limit::burst`] is called.
    ///
    /// ```
    /// use premier::Limit;
    /// use std::time::Duration;
    ///
    /// let limit = Limit::token_bucket(100, Duration::from_secs(60));
    /// assert_eq!(limit.capacity(), 100);
    /// ```
    #[must_use]
    pub const fn token_bucket(quota: u64, period: Duration) -> Self {
        Self::new(Algo::TokenBucket, quota, period)
    }

    /// Creates a queue that starts `quota` units per `period`, evenly spaced, decided by
    /// [`Algo::LeakyBucket`]. `quota` units may wait in it unless [`Limit::bucket_size`] is called.
    ///
    /// ```
    /// use premier::Limit;
    /// use std::time::Duration;
    ///
    /// let limit = Limit::leaky_bucket(10, Duration::from_secs(1));
    /// assert_eq!(limit.capacity(), 11);
    /// ```
    #[must_use]
    pub const fn leaky_bucket(quota: u64, period: Duration) -> Self {
        Self::new(Algo::LeakyBucket, quota, period)
    }

    /// Returns this limit with another algorithm.
    pub(crate) const fn with_algo(mut self, algo: Algo) -> Self {
        self.algo = algo;
        self
    }

    /// Sets how many tokens a token bucket holds, from 1 to 2^32. Default: the quota.
    ///
    /// With another algorithm than [`Algo::TokenBucket`] the limit is invalid.
    ///
    /// ```
    /// use premier::Limit;
    /// use std::time::Duration;
    ///
    /// let limit = Limit::token_bucket(100, Duration::from_secs(60)).burst(20);
    /// assert_eq!(limit.capacity(), 20);
    /// ```
    #[must_use]
    pub const fn burst(mut self, tokens: u64) -> Self {
        self.burst = Some(tokens);
        self
    }

    /// Sets how many units may wait in a leaky bucket, from 0 to 2^32. With 0, no call waits.
    /// Default: the quota.
    ///
    /// With another algorithm than [`Algo::LeakyBucket`] the limit is invalid.
    ///
    /// ```
    /// use premier::Limit;
    /// use std::time::Duration;
    ///
    /// let limit = Limit::leaky_bucket(10, Duration::from_secs(1)).bucket_size(3);
    /// assert_eq!(limit.capacity(), 4);
    /// ```
    #[must_use]
    pub const fn bucket_size(mut self, units: u64) -> Self {
        self.bucket_size = Some(units);
        self
    }

    /// Lets a process take units of a key ahead, and hand them out without asking the store for each call.
    /// Default: no lease. For stores that processes share, as Redis is; in memory it does nothing.
    ///
    /// A process that is asked often takes up to this many units in one call, and the next units as soon as half of
    /// them are used, and so decides at the speed of memory. Together the processes never admit more than the
    /// limit. They may admit less, by at most the units that they have taken and not used: these are refunded after
    /// half a second without a call, and lapse with the window, or as the bucket would have refilled. Until then
    /// [`Throttle::peek`](crate::Throttle::peek) counts them as taken. A reset by another process is noticed when
    /// the units have been used.
    ///
    /// With [`Algo::LeakyBucket`], whose calls are spaced, and [`Algo::SlidingLog`], which counts the instant
    /// of each unit, the limit is invalid, and so are several limits that decide as one.
    ///
    /// ```
    /// use premier::{Lease, Limit};
    /// use std::time::Duration;
    ///
    /// let limit = Limit::token_bucket(10_000, Duration::from_secs(1)).lease(Lease::Percent(10));
    /// assert_eq!(limit.to_string(), "token_bucket 10000/1s, lease 10%");
    /// ```
    #[must_use]
    pub const fn lease(mut self, lease: Lease) -> Self {
        self.lease = Some(lease);
        self
    }

    /// The lease, if [`Limit::lease`] was called.
    pub(crate) const fn stated_lease(&self) -> Option<Lease> {
        self.lease
    }

    /// Returns the algorithm.
    #[must_use]
    pub const fn algo(&self) -> Algo {
        self.algo
    }

    /// Returns the quota: the number of units admitted per period.
    #[must_use]
    pub const fn quota(&self) -> u64 {
        self.quota
    }

    /// Returns the period.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// Returns the most units that can be taken at one instant from an unused key. A call that costs
    /// more is never admitted.
    ///
    /// This is the burst of a token bucket, the bucket size plus 1 of a leaky bucket, and the quota
    /// of all other algorithms.
    ///
    /// ```
    /// use premier::Limit;
    /// use std::time::Duration;
    ///
    /// let minute = Duration::from_secs(60);
    /// assert_eq!(Limit::fixed_window(100, minute).capacity(), 100);
    /// assert_eq!(Limit::leaky_bucket(100, minute).bucket_size(5).capacity(), 6);
    /// ```
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

    /// Checks that every value is in its range and applies to the algorithm.
    ///
    /// # Errors
    /// [`Error::Config`], whose message names the first invalid value.
    ///
    /// ```
    /// use premier::Limit;
    /// use std::time::Duration;
    ///
    /// let second = Duration::from_secs(1);
    /// assert!(Limit::fixed_window(10, second).validate().is_ok());
    /// assert!(Limit::fixed_window(10, second).burst(5).validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        self.check().map_err(Error::config)
    }

    /// Returns the period in nanoseconds. A validated period always fits; others saturate.
    pub(crate) fn period_nanos(&self) -> u64 {
        u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Returns the emission interval `period / quota` in nanoseconds as a fraction in lowest terms:
    /// numerator and denominator. One tick is 1 / denominator nanoseconds.
    pub(crate) fn emission_interval(&self) -> (u64, u64) {
        let (period, quota) = (self.period_nanos(), self.quota);
        let divisor = greatest_common_divisor(period, quota);
        (period / divisor, quota / divisor)
    }

    /// The burst, if [`Limit::burst`] was called.
    pub(super) const fn stated_burst(&self) -> Option<u64> {
        self.burst
    }

    /// The bucket size, if [`Limit::bucket_size`] was called.
    pub(super) const fn stated_bucket_size(&self) -> Option<u64> {
        self.bucket_size
    }

    pub(super) fn check(&self) -> Result<(), String> {
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
        if let Some(lease) = self.lease {
            if !self.algo.takes_lease() {
                return Err(format!(
                    "lease is for token_bucket, fixed_window and sliding_window, not for {}",
                    self.algo
                ));
            }
            lease.check(self.capacity())?;
        }
        Ok(())
    }
}

/// Returns the greatest common divisor, by Euclid's algorithm.
const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
