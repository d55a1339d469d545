//! Premier under another name, in a crate without a prelude and without unsafe code. The test is
//! that this compiles without a warning.
#![no_implicit_prelude]
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all, clippy::pedantic)]

/// Expansions must not resolve `core` and `std` to modules of the user.
#[allow(dead_code, non_camel_case_types)]
mod core {}
#[allow(dead_code)]
mod std {}

/// The error of this crate, made from the error of premier.
#[derive(Clone, Debug)]
pub struct Refused(pub ::calm::Error);

impl ::core::convert::From<::calm::Error> for Refused {
    fn from(error: ::calm::Error) -> Self {
        Self(error)
    }
}

/// Doubles, five times a minute.
///
/// # Errors
/// When the call is rejected.
#[::calm::throttle(rate = "5/min", key = "{value}")]
pub fn double(value: u32) -> ::core::result::Result<u32, Refused> {
    ::core::result::Result::Ok(value * 2)
}

/// Triples, five times a minute.
///
/// # Errors
/// When the call is rejected.
#[::calm::throttle(rate = "5/min", cost = value, keymaker = |value| *value)]
pub async fn triple(value: u32) -> u32 {
    value * 3
}

/// Returns its argument, five times a minute. The argument `crate` gives the path of premier.
///
/// # Errors
/// When the call is rejected.
#[::calm::throttle(rate = "5/min", crate = ::calm)]
pub fn same(value: u32) -> u32 {
    value
}

/// Has every attribute. The macros read the name of premier from the manifest.
///
/// # Errors
/// When the call is rejected.
#[::calm::cache(ttl = 60, stale = "5s", capacity = 100, key = "{name}")]
#[::calm::retry(max = 3, base = "1ms", on = Refused(::calm::Error::Timeout { .. }), on_retry = |_event| ())]
#[::calm::circuit_breaker(failures = 5, within = "10s", open_for = "30s", half_open = 1)]
#[::calm::concurrency(limit = 10, wait = "1s")]
#[::calm::timeout(seconds = 1.5)]
#[::calm::throttle(limits("5/s", "100/min"), keymaker = |_name, list| list.len())]
pub fn all(
    name: &'static str,
    mut list: ::std::vec::Vec<u32>,
) -> ::core::result::Result<usize, Refused> {
    list.push(1);
    ::core::result::Result::Ok(list.len() + name.len())
}

/// Adds two numbers. The lint for undocumented errors must not fire, because the attributes add the
/// `Result`.
#[::calm::retry(max = 3, base = "1ms")]
#[::calm::circuit_breaker]
#[::calm::concurrency(limit = 10)]
#[::calm::timeout("500ms")]
#[::calm::throttle(rate = "5/min", key = left + right, cost = right)]
pub async fn sum((left, right): (u32, u32), _other: &u32, _: u8) -> u32 {
    left + right
}

/// Returns its argument, or zero when the call is rejected.
#[must_use]
#[::calm::concurrency(limit = 10, on_reject = |_| 0)]
#[::calm::timeout(1, on_reject = |_error| 0)]
#[::calm::throttle(rate = "5/min", on_reject = |_| 0)]
pub fn substituted(value: u32) -> u32 {
    value
}

/// Returns its argument, of which it costs as many units.
#[::calm::throttle(
    limits("5/min", ("90/min", cost = value, settle = |value| *value)),
    settle = |_| 1,
    on_drop = "refund"
)]
pub async fn settled(value: u32) -> u32 {
    value
}

#[cfg(test)]
mod tests {
    #[test]
    fn attributes_of_a_renamed_premier_limit_calls() {
        for _ in 0..5 {
            ::core::assert!(super::double(1).is_ok());
        }
        ::core::assert!(super::double(1).is_err());
        ::core::assert!(super::double(2).is_ok());
        ::core::assert!(::core::matches!(
            super::same(1),
            ::core::result::Result::Ok(1)
        ));
        ::core::assert!(::core::matches!(
            super::all("a", ::std::vec![1]),
            ::core::result::Result::Ok(3)
        ));
        ::core::assert_eq!(super::substituted(3), 3);
    }
}
