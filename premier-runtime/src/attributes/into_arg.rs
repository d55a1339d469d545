//! The types that arguments of attributes accept for numbers, durations and algorithms.

use std::time::Duration;

use crate::error::Error;
use crate::limit::algo::Algo;
use crate::limit::lease::Lease;

/// Whole numbers: all integer types, and those of `NonZero`.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` is not a whole number",
    label = "is not an integer",
    note = "write a value of an integer type, as in `10` or `usize::from(n)`"
)]
pub trait WholeNumber: Sized {
    /// Converts the number.
    fn into_number(self) -> Number;

    /// Converts the number.
    ///
    /// # Errors
    /// [`Error::Config`], which names the argument `what`, if the number is negative or too large.
    fn into_units(self, what: &str) -> Result<u64, Error> {
        self.into_number().0.map_err(|number| {
            Error::config(format!(
                "{what} must be a number from 0 to 2^64, not {number}"
            ))
        })
    }
}

/// A number, or the digits of one that is negative or too large.
#[derive(Debug)]
pub struct Number(Result<u64, String>);

#[diagnostic::do_not_recommend]
impl WholeNumber for Number {
    fn into_number(self) -> Number {
        self
    }
}

/// Variables that a pattern binds in the expansion are references.
impl<T: WholeNumber + Copy> WholeNumber for &T {
    fn into_number(self) -> Number {
        (*self).into_number()
    }
}

macro_rules! into_units {
    ($($number:ty)*) => {$(
        impl WholeNumber for $number {
            fn into_number(self) -> Number {
                Number(u64::try_from(self).map_err(|_| self.to_string()))
            }
        }
    )*};
}
into_units!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

macro_rules! into_units_nonzero {
    ($($number:ident)*) => {$(
        impl WholeNumber for std::num::$number {
            fn into_number(self) -> Number {
                self.get().into_number()
            }
        }
    )*};
}
into_units_nonzero!(NonZeroU8 NonZeroU16 NonZeroU32 NonZeroU64 NonZeroUsize);

/// Converts a number of at least 1.
pub(super) fn positive(what: &str, number: impl WholeNumber) -> Result<u64, Error> {
    match number.into_units(what)? {
        0 => Err(Error::config(format!("{what} must be at least 1"))),
        number => Ok(number),
    }
}

/// Converts a share of calls: more than 0 and at most 1.
pub(super) fn share(what: &str, share: f64) -> Result<f64, Error> {
    if share > 0.0 && share <= 1.0 {
        Ok(share)
    } else {
        Err(Error::config(format!(
            "{what} must be above 0 and at most 1, not {share}"
        )))
    }
}

/// Lengths of time: seconds as a number, text with a unit, or a [`Duration`].
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` is not a length of time",
    label = "is neither a number of seconds, nor a text with a unit, nor a `Duration`",
    note = "write a number of seconds, a text as in \"500ms\", or a `std::time::Duration`"
)]
pub trait LengthOfTime {
    /// Converts the duration.
    ///
    /// # Errors
    /// [`Error::Config`], which lists the accepted forms.
    fn into_period(self) -> Result<Duration, Error>;
}

impl LengthOfTime for Duration {
    fn into_period(self) -> Result<Duration, Error> {
        Ok(self)
    }
}

/// A length of time that is converted already.
#[diagnostic::do_not_recommend]
impl LengthOfTime for Result<Duration, Error> {
    fn into_period(self) -> Self {
        self
    }
}

impl LengthOfTime for &str {
    fn into_period(self) -> Result<Duration, Error> {
        premier_parse::parse_duration(self)
            .map(Duration::from_nanos)
            .map_err(Error::config)
    }
}

impl LengthOfTime for String {
    fn into_period(self) -> Result<Duration, Error> {
        self.as_str().into_period()
    }
}

macro_rules! into_period_float {
    ($($number:ty)*) => {$(
        impl LengthOfTime for $number {
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
        impl LengthOfTime for $number {
            fn into_period(self) -> Result<Duration, Error> {
                self.into_units("duration").map(Duration::from_secs)
            }
        }
    )*};
}
into_period!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

/// Leases: a number of units, a percentage as text, or a [`Lease`].
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` is not a lease",
    label = "is neither a number of units, nor a percentage, nor a `premier::Lease`",
    note = "write a percentage as in \"10%\", a number of units, or a `premier::Lease`"
)]
pub trait LeaseSize {
    /// Converts the lease.
    ///
    /// # Errors
    /// [`Error::Config`], which lists the accepted forms.
    fn into_lease(self) -> Result<Lease, Error>;
}

#[diagnostic::do_not_recommend]
impl LeaseSize for Lease {
    fn into_lease(self) -> Result<Lease, Error> {
        Ok(self)
    }
}

/// A lease that is converted already.
#[diagnostic::do_not_recommend]
impl LeaseSize for Result<Lease, Error> {
    fn into_lease(self) -> Self {
        self
    }
}

#[diagnostic::do_not_recommend]
impl LeaseSize for &str {
    fn into_lease(self) -> Result<Lease, Error> {
        self.parse()
    }
}

#[diagnostic::do_not_recommend]
impl LeaseSize for String {
    fn into_lease(self) -> Result<Lease, Error> {
        self.parse()
    }
}

macro_rules! into_lease {
    ($($number:ty)*) => {$(
        #[diagnostic::do_not_recommend]
        impl LeaseSize for $number {
            fn into_lease(self) -> Result<Lease, Error> {
                self.into_units("lease").map(Lease::Units)
            }
        }
    )*};
}
into_lease!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

/// Algorithms: an [`Algo`] or its name.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` is not an algorithm",
    label = "is neither a `premier::Algo` nor the name of one",
    note = "write a name as in \"token_bucket\", or a `premier::Algo`"
)]
pub trait Algorithm {
    /// Converts the algorithm.
    ///
    /// # Errors
    /// [`Error::Config`], which lists the names.
    fn into_algo(self) -> Result<Algo, Error>;
}

#[diagnostic::do_not_recommend]
impl Algorithm for Algo {
    fn into_algo(self) -> Result<Algo, Error> {
        Ok(self)
    }
}

/// An algorithm that is converted already.
#[diagnostic::do_not_recommend]
impl Algorithm for Result<Algo, Error> {
    fn into_algo(self) -> Self {
        self
    }
}

#[diagnostic::do_not_recommend]
impl Algorithm for &str {
    fn into_algo(self) -> Result<Algo, Error> {
        self.parse()
    }
}

/// Converts the cost of a call.
///
/// # Errors
/// [`Error::Config`] if the number is negative or too large.
pub fn cost(units: impl WholeNumber) -> Result<u64, Error> {
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
pub fn period(length: impl LengthOfTime) -> Result<Duration, Error> {
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
