//! The algorithms and their names.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// What `FromStr` and serde accept.
pub(super) const EXPECTED: &str =
    "fixed_window, sliding_window, sliding_log, token_bucket (or gcra) or leaky_bucket";

/// The algorithm of a limit.
///
/// Default: [`Algo::FixedWindow`]. `FromStr` reads the names that [`Algo::as_str`] returns, and
/// `gcra` for [`Algo::TokenBucket`]. With the feature `serde` these names stand in
/// configuration files.
///
/// ```
/// use premier::Algo;
///
/// let algo: Algo = "gcra".parse()?;
/// assert_eq!(algo, Algo::TokenBucket);
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Algo {
    /// Counts units in a window, which opens with the first call after the previous window closed.
    ///
    /// The cheapest algorithm. It admits up to twice the quota within one period that spans the edge
    /// of two windows.
    #[default]
    FixedWindow,
    /// Queues calls and starts them `period / quota` apart, the first one at once.
    ///
    /// The leaky bucket as a queue; see [`Limit::bucket_size`](crate::Limit::bucket_size) for its
    /// length.
    LeakyBucket,
    /// Remembers when each unit was admitted, and never admits more than the quota in any period.
    ///
    /// Its memory grows with the quota, which may be at most 100,000.
    SlidingLog,
    /// Estimates the units in the last period from two counters: those of the current window plus
    /// those of the previous window, weighted by how much of it overlaps the last period.
    SlidingWindow,
    /// Takes tokens from a bucket that is refilled continuously: bursts up to
    /// [`Limit::burst`](crate::Limit::burst), then a steady rate.
    ///
    /// Implemented as the Generic Cell Rate Algorithm (GCRA) of ITU-T I.371.
    TokenBucket,
}

impl Algo {
    /// Returns the name used in attributes, keys and limits files.
    ///
    /// ```
    /// assert_eq!(premier::Algo::TokenBucket.as_str(), "token_bucket");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FixedWindow => "fixed_window",
            Self::LeakyBucket => "leaky_bucket",
            Self::SlidingLog => "sliding_log",
            Self::SlidingWindow => "sliding_window",
            Self::TokenBucket => "token_bucket",
        }
    }

    /// Whether [`Limit::burst`](crate::Limit::burst) applies to this algorithm.
    pub(crate) const fn takes_burst(self) -> bool {
        match self {
            Self::TokenBucket => true,
            Self::FixedWindow | Self::LeakyBucket | Self::SlidingLog | Self::SlidingWindow => false,
        }
    }

    /// Whether the state grows with the admitted units, so that the quota needs a lower bound.
    pub(crate) const fn remembers_units(self) -> bool {
        match self {
            Self::SlidingLog => true,
            Self::FixedWindow | Self::LeakyBucket | Self::SlidingWindow | Self::TokenBucket => {
                false
            }
        }
    }

    /// Whether an admitted call may have to wait for its slot.
    #[cfg(feature = "tower")]
    pub(crate) const fn is_queue(self) -> bool {
        match self {
            Self::LeakyBucket => true,
            Self::FixedWindow | Self::SlidingLog | Self::SlidingWindow | Self::TokenBucket => false,
        }
    }

    /// Whether [`Limit::lease`](crate::Limit::lease) applies to this algorithm: its units need not be counted one by
    /// one.
    pub(crate) const fn takes_lease(self) -> bool {
        match self {
            Self::FixedWindow | Self::SlidingWindow | Self::TokenBucket => true,
            Self::LeakyBucket | Self::SlidingLog => false,
        }
    }

    /// Whether [`Limit::bucket_size`](crate::Limit::bucket_size) applies to this algorithm.
    pub(crate) const fn takes_bucket_size(self) -> bool {
        match self {
            Self::LeakyBucket => true,
            Self::FixedWindow | Self::SlidingLog | Self::SlidingWindow | Self::TokenBucket => false,
        }
    }
}

impl fmt::Display for Algo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Algo {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "fixed_window" => Self::FixedWindow,
            "leaky_bucket" => Self::LeakyBucket,
            "sliding_log" => Self::SlidingLog,
            "sliding_window" => Self::SlidingWindow,
            "token_bucket" | "gcra" => Self::TokenBucket,
            _ => {
                return Err(Error::config(format!(
                    "unknown algorithm {name:?}: expected {EXPECTED}"
                )));
            }
        })
    }
}
