//! The types that arguments of attributes accept for numbers, durations and algorithms.

use std::time::Duration;

use crate::error::Error;
use crate::limit::algo::Algo;

/// Integer types.
pub trait IntoUnits {
    /// Converts the number.
    ///
    /// # Errors
    /// [`Error::Config`], which names the argument `what`, if the number is negative or too large.
    fn into_units(self, what: &str) -> Result<u64, Error>;
}

/// Variables that a pattern binds in the expansion are references.
impl<T: IntoUnits + Copy> IntoUnits for &T {
    fn into_units(self, what: &str) -> Result<u64, Error> {
        (*self).into_units(what)
    }
}

macro_rules! into_units {
    ($($number:ty)*) => {$(
        impl IntoUnits for $number {
            fn into_units(self, what: &str) -> Result<u64, Error> {
                u64::try_from(self).map_err(|_| {
                    Error::config(format!("{what} must be a number from 0 to 2^64, not {self}"))
                })
            }
        }
    )*};
}
into_units!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

macro_rules! into_units_nonzero {
    ($($number:ident)*) => {$(
        impl IntoUnits for std::num::$number {
            fn into_units(self, what: &str) -> Result<u64, Error> {
                self.get().into_units(what)
            }
        }
    )*};
}
into_units_nonzero!(NonZeroU8 NonZeroU16 NonZeroU32 NonZeroU64 NonZeroUsize);

/// Converts a number of at least 1.
pub(super) fn positive(what: &str, number: impl IntoUnits) -> Result<u64, Error> {
    match number.into_units(what)? {
        0 => Err(Error::config(format!("{what} must be at least 1"))),
        number => Ok(number),
    }
}

/// Durations: seconds as a number, text with a unit, or a [`Duration`].
pub trait IntoPeriod {
    /// Converts the duration.
    ///
    /// # Errors
    /// [`Error::Config`], which lists the accepted forms.
    fn into_period(self) -> Result<Duration, Error>;
}

impl IntoPeriod for Duration {
    fn into_period(self) -> Result<Duration, Error> {
        Ok(self)
    }
}

impl IntoPeriod for &str {
    fn into_period(self) -> Result<Duration, Error> {
        premier_parse::parse_duration(self)
            .map(Duration::from_nanos)
            .map_err(Error::config)
    }
}

impl IntoPeriod for String {
    fn into_period(self) -> Result<Duration, Error> {
        self.as_str().into_period()
    }
}

macro_rules! into_period_float {
    ($($number:ty)*) => {$(
        impl IntoPeriod for $number {
            /// Rounds to nanoseconds, because the last digits of computed numbers are noise.
            fn into_period(self) -> Result<Duration, Error> {
                // The shortest decimal form of 0.1 is the same as its literal.
                let text = self.to_string();
                match rounded_nanos(&text) {
                    Some(nanos) => Ok(Duration::from_nanos(nanos)),
                    None => premier_parse::parse_seconds(&text)
                        .map(Duration::from_nanos)
                        .map_err(Error::config),
                }
            }
        }
    )*};
}
into_period_float!(f32 f64);

/// Rounds a decimal number of seconds to nanoseconds. Returns `None` if it is not such a number, or
/// too large.
fn rounded_nanos(seconds: &str) -> Option<u64> {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let nanos: u64 = format!("{fraction:0<9.9}").parse().ok()?;
    let up = fraction
        .as_bytes()
        .get(9)
        .is_some_and(|digit| *digit >= b'5');
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(nanos + u64::from(up))
}

macro_rules! into_period {
    ($($number:ty)*) => {$(
        impl IntoPeriod for $number {
            fn into_period(self) -> Result<Duration, Error> {
                self.into_units("duration").map(Duration::from_secs)
            }
        }
    )*};
}
into_period!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

/// Algorithms: an [`Algo`] or its name.
pub trait IntoAlgo {
    /// Converts the algorithm.
    ///
    /// # Errors
    /// [`Error::Config`], which lists the names.
    fn into_algo(self) -> Result<Algo, Error>;
}

impl IntoAlgo for Algo {
    fn into_algo(self) -> Result<Algo, Error> {
        Ok(self)
    }
}

impl IntoAlgo for &str {
    fn into_algo(self) -> Result<Algo, Error> {
        self.parse()
    }
}

/// Converts the cost of a call.
///
/// # Errors
/// [`Error::Config`] if the number is negative or too large.
pub fn cost(units: impl IntoUnits) -> Result<u64, Error> {
    units.into_units("cost")
}

/// The cost of a call.
pub trait Cost {
    /// Returns the cost in units.
    ///
    /// # Errors
    /// [`Error::Config`] if the stated cost is invalid.
    fn units(self) -> Result<u64, Error>;
}

impl Cost for Result<u64, Error> {
    fn units(self) -> Self {
        self
    }
}

/// The cost of a call without `cost = …`: one unit.
#[derive(Clone, Copy, Debug)]
pub struct UnitCost;

impl Cost for UnitCost {
    #[inline]
    fn units(self) -> Result<u64, Error> {
        Ok(1)
    }
}

/// Converts a duration.
///
/// # Errors
/// [`Error::Config`], which lists the accepted forms.
pub fn period(length: impl IntoPeriod) -> Result<Duration, Error> {
    length.into_period()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_seconds_are_rounded_to_nanoseconds() {
        for (seconds, nanos) in [
            (0.1 + 0.2, 300_000_000),
            (1.0 / 3.0, 333_333_333),
            (2.0 / 3.0, 666_666_667),
            (0.999_999_999_9, 1_000_000_000),
            (1.5, 1_500_000_000),
            (31_622_400.0, 31_622_400_000_000_000),
            (1e-9, 1),
        ] {
            assert_eq!(
                seconds.into_period().unwrap(),
                Duration::from_nanos(nanos),
                "{seconds}"
            );
        }
        assert_eq!(0.1f32.into_period().unwrap(), Duration::from_millis(100));
        for bad in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert!(bad.into_period().is_err(), "{bad}");
        }
    }
}
