//! What may stand in an attribute where a number, a length of time or an algorithm is due.

use std::time::Duration;

use crate::limit::Algo;
use crate::{Error, quantity};

/// Whole numbers of any type.
pub trait IntoUnits {
    /// The number, unless it is negative or too large.
    ///
    /// # Errors
    /// [`Error::Config`] that names `what`.
    fn into_units(self, what: &str) -> Result<u64, Error>;
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

/// Seconds as a number, text with a unit, or a `Duration`.
pub trait IntoPeriod {
    /// The length of time.
    ///
    /// # Errors
    /// [`Error::Config`] that says what is accepted.
    fn into_period(self) -> Result<Duration, Error>;
}

impl IntoPeriod for Duration {
    fn into_period(self) -> Result<Duration, Error> {
        Ok(self)
    }
}

impl IntoPeriod for &str {
    fn into_period(self) -> Result<Duration, Error> {
        quantity::parse_duration(self)
            .map(Duration::from_nanos)
            .map_err(Error::config)
    }
}

impl IntoPeriod for String {
    fn into_period(self) -> Result<Duration, Error> {
        self.as_str().into_period()
    }
}

impl IntoPeriod for f64 {
    fn into_period(self) -> Result<Duration, Error> {
        // By way of its shortest decimal form, so that 0.1 means here what it means as a literal.
        quantity::parse_seconds(&self.to_string())
            .map(Duration::from_nanos)
            .map_err(Error::config)
    }
}

impl IntoPeriod for f32 {
    fn into_period(self) -> Result<Duration, Error> {
        f64::from(self).into_period()
    }
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

/// An [`Algo`] or its name.
pub trait IntoAlgo {
    /// The algorithm.
    ///
    /// # Errors
    /// [`Error::Config`] that lists what is accepted.
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

/// The units a call costs.
///
/// # Errors
/// [`Error::Config`] when the number is negative.
pub fn cost(units: impl IntoUnits) -> Result<u64, Error> {
    units.into_units("cost")
}
