//! The algorithms a limit can decide by, and their names.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// The algorithm by which a limit decides.
///
/// Defaults: [`Algo::FixedWindow`].
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
    /// Counts units in a window that opens at the first call after the last one closed. Cheapest;
    /// admits up to twice the quota around the edge of a window.
    #[default]
    FixedWindow,
    /// A queue: calls run one period/quota apart, the first at once.
    LeakyBucket,
    /// Remembers every admitted instant: never more than the quota in any period.
    SlidingLog,
    /// Weighs the previous window by how much of it still overlaps the last period.
    SlidingWindow,
    /// A bucket of tokens refilled continuously (GCRA): bursts up to its size, then a steady rate.
    TokenBucket,
}

impl Algo {
    /// The name used in attributes, keys and files.
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

    /// Whether a limit by it has a [`Limit::burst`](crate::Limit::burst).
    pub(crate) const fn takes_burst(self) -> bool {
        match self {
            Self::TokenBucket => true,
            Self::FixedWindow | Self::LeakyBucket | Self::SlidingLog | Self::SlidingWindow => false,
        }
    }

    /// Whether its state grows with every admitted unit, so that the quota has its own bound.
    pub(crate) const fn remembers_units(self) -> bool {
        match self {
            Self::SlidingLog => true,
            Self::FixedWindow | Self::LeakyBucket | Self::SlidingWindow | Self::TokenBucket => {
                false
            }
        }
    }

    /// Whether a limit by it has a [`Limit::bucket_size`](crate::Limit::bucket_size).
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
                    "unknown algorithm {name:?}: expected fixed_window, sliding_window, sliding_log, token_bucket (or gcra) or leaky_bucket"
                )));
            }
        })
    }
}
