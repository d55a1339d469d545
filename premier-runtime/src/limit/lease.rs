//! How much of a limit a process takes ahead.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// The most units of a key that a process takes ahead from a store that it shares with others, to hand them
/// out without asking the store for each call. See [`Limit::lease`](crate::Limit::lease).
///
/// ```
/// use premier::Lease;
///
/// assert_eq!("10%".parse::<Lease>()?, Lease::Percent(10));
/// assert_eq!(Lease::Units(500).to_string(), "500");
/// # Ok::<(), premier::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Lease {
    /// This many units, from 1 to the capacity of the limit.
    Units(u64),
    /// This part of the capacity of the limit, from 1 to 100 %, and at least one unit.
    Percent(u8),
}

impl Lease {
    /// The number of units for a limit with this capacity.
    #[cfg(feature = "redis")]
    pub(crate) fn units(self, capacity: u64) -> u64 {
        match self {
            Self::Units(units) => units,
            Self::Percent(percent) => {
                let units = u128::from(capacity) * u128::from(percent) / 100;
                u64::try_from(units).unwrap_or(capacity).max(1)
            }
        }
    }

    pub(super) fn check(self, capacity: u64) -> Result<(), String> {
        match self {
            Self::Units(units) if units == 0 || units > capacity => Err(format!(
                "a lease of {units} units: expected 1 to the capacity, which is {capacity}"
            )),
            Self::Percent(percent) if !(1..=100).contains(&percent) => {
                Err(format!("a lease of {percent}%: expected 1% to 100%"))
            }
            Self::Units(_) | Self::Percent(_) => Ok(()),
        }
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Units(units) => write!(formatter, "{units}"),
            Self::Percent(percent) => write!(formatter, "{percent}%"),
        }
    }
}

/// # Errors
/// [`Error::Config`] unless the text is a number, or a number and `%`.
impl FromStr for Lease {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let lease = match text.strip_suffix('%') {
            Some(percent) => percent.trim_end().parse().map(Self::Percent).ok(),
            None => text.replace('_', "").parse().map(Self::Units).ok(),
        };
        lease.ok_or_else(|| {
            Error::config(format!(
                "{text:?} is not a lease: expected units or a percentage, as in \"10%\""
            ))
        })
    }
}
