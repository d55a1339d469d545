//! Compiles, or not: premier under another name, without a prelude, without unsafe code.
#![no_implicit_prelude]
#![forbid(unsafe_code)]

/// What a user's names must not break.
#[allow(dead_code, non_camel_case_types)]
mod core {}
#[allow(dead_code)]
mod std {}

/// A refused call, as this crate says it.
#[derive(Debug)]
pub struct Refused(pub ::calm::Error);

impl ::core::convert::From<::calm::Error> for Refused {
    fn from(error: ::calm::Error) -> Self {
        Self(error)
    }
}

/// Doubles, five times a minute.
///
/// # Errors
/// When refused.
#[::calm::throttle(rate = "5/min", key = "{value}")]
pub fn double(value: u32) -> ::core::result::Result<u32, Refused> {
    ::core::result::Result::Ok(value * 2)
}

/// Triples, five times a minute.
///
/// # Errors
/// When refused.
#[::calm::throttle(rate = "5/min", cost = value, keymaker = |value| *value)]
pub async fn triple(value: u32) -> u32 {
    value * 3
}

/// The path can also be given.
///
/// # Errors
/// When refused.
#[::calm::throttle(rate = "5/min", crate = ::calm)]
pub fn same(value: u32) -> u32 {
    value
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_renamed_premier_limits() {
        for _ in 0..5 {
            ::core::assert!(super::double(1).is_ok());
        }
        ::core::assert!(super::double(1).is_err());
        ::core::assert!(super::double(2).is_ok());
        ::core::assert!(::core::matches!(
            super::same(1),
            ::core::result::Result::Ok(1)
        ));
    }
}
