//! Compiles, or not: premier under another name, without a prelude, without unsafe code.
#![no_implicit_prelude]
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all, clippy::pedantic)]

/// What a user's names must not break.
#[allow(dead_code, non_camel_case_types)]
mod core {}
#[allow(dead_code)]
mod std {}

/// A refused call, as this crate says it.
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

/// Every attribute at once; what `premier` is called is read from the manifest.
///
/// # Errors
/// When refused.
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

/// The same, awaited; nothing of it says that errors are to be told in the documentation, for the
/// attributes have brought them.
#[::calm::retry(max = 3, base = "1ms")]
#[::calm::circuit_breaker]
#[::calm::concurrency(limit = 10)]
#[::calm::timeout("500ms")]
#[::calm::throttle(rate = "5/min", key = left + right, cost = right)]
pub async fn sum((left, right): (u32, u32), _other: &u32, _: u8) -> u32 {
    left + right
}

/// Refused calls are zero.
#[must_use]
#[::calm::concurrency(limit = 10, on_reject = |_| 0)]
#[::calm::timeout(1, on_reject = |_error| 0)]
#[::calm::throttle(rate = "5/min", on_reject = |_| 0)]
pub fn substituted(value: u32) -> u32 {
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
        ::core::assert!(::core::matches!(
            super::all("a", ::std::vec![1]),
            ::core::result::Result::Ok(3)
        ));
        ::core::assert_eq!(super::substituted(3), 3);
    }
}
