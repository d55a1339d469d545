//! Code in the arguments of attributes: it has no lint of its own, and an expansion must not add one.

use premier::{Error, cache, circuit_breaker, concurrency, retry, throttle, timeout};

/// # Errors
/// When rejected.
#[throttle(rate = "1/s", keymaker = |n: &u32| -> String { n.to_string() })]
pub fn keymaker_with_a_type(n: u32) -> Result<u32, Error> {
    Ok(n)
}

/// # Errors
/// When rejected.
#[throttle(rate = "1/s", keymaker = |n, _| { n.to_string() })]
pub fn keymaker_with_braces(n: u32, _text: &str) -> Result<u32, Error> {
    Ok(n)
}

/// # Errors
/// When rejected.
#[throttle(rate = "1/s", keymaker = one_key)]
pub fn keymaker_by_path(n: u32) -> Result<u32, Error> {
    Ok(n)
}

#[expect(clippy::trivially_copy_pass_by_ref)]
const fn one_key(n: &u32) -> u32 {
    *n
}

/// # Errors
/// When rejected.
#[throttle(rate = "1/s", key = (n + 1), cost = (n))]
pub fn parentheses(n: u32) -> Result<u32, Error> {
    Ok(n)
}

/// # Errors
/// When rejected.
#[throttle(rate = "1/s", key = { n }, cost = { n })]
pub fn braces(n: u32) -> Result<u32, Error> {
    Ok(n)
}

/// # Errors
/// When rejected.
#[throttle(rate = "1/s", key = a, cost = b)]
pub fn key_of_a_pattern(&(a, b): &(u32, u32)) -> Result<u32, Error> {
    Ok(a + b)
}

/// # Panics
/// When rejected.
#[throttle(rate = "1/s", on_reject = |e| panic!("{e}"))]
#[must_use]
pub fn rejection_panics(n: u32) -> u32 {
    n
}

/// # Panics
/// When rejected.
#[concurrency(limit = 2, on_reject = |e| -> u32 { panic!("{e}") })]
pub async fn rejection_panics_async(n: u32) -> u32 {
    std::future::ready(n).await
}

/// # Panics
/// When rejected.
#[timeout(1, on_reject = |e| panic!("{e}"))]
#[must_use]
pub fn timeout_panics(n: u32) -> u32 {
    n
}

/// # Panics
/// When rejected.
///
/// # Errors
/// Never.
#[circuit_breaker(on_reject = |e| panic!("{e}"))]
#[throttle(rate = "1/s", on_reject = |e| panic!("{e}"))]
pub fn rejections_panic(n: u32) -> Result<u32, Error> {
    Ok(n)
}

#[throttle(rate = "1/s", on_reject = |_| ())]
pub fn unit_for_a_rejection(n: u32) {
    println!("{n}");
}

#[concurrency(limit = 1, on_reject = |_error| {})]
pub async fn unit_for_a_rejection_async(n: u32) {
    std::future::ready(n).await;
}

/// # Errors
/// The last one.
#[retry(when = |_| true, on_retry = |_| ())]
pub fn callbacks_that_ignore(n: u32) -> Result<u32, Error> {
    Ok(n)
}

/// # Errors
/// The last one.
#[retry(when = |error| -> bool { matches!(error, Error::Timeout { .. }) }, on_retry = |event| { println!("{event:?}"); })]
pub fn callbacks_with_braces(n: u32) -> Result<u32, Error> {
    Ok(n)
}

/// # Errors
/// The last one.
#[retry(when = is_timeout, on_retry = note, strategy = delay)]
pub async fn callbacks_by_path(n: u32) -> Result<u32, Error> {
    std::future::ready(Ok(n)).await
}

const fn is_timeout(error: &Error) -> bool {
    matches!(error, Error::Timeout { .. })
}

fn note(event: &premier::RetryEvent<'_, Error>) {
    println!("{event:?}");
}

fn delay(attempt: u32) -> std::time::Duration {
    std::time::Duration::from_secs(attempt.into())
}

/// # Errors
/// The last one.
#[retry(on = Error::Timeout { .. } | Error::Config { .. })]
pub fn patterns(n: u32) -> Result<u32, Error> {
    Ok(n)
}

/// # Errors
/// When rejected.
#[circuit_breaker(on = Error::Timeout { after, .. } if after.as_secs() > 1, failures = 3)]
pub fn guards(n: u32) -> Result<u32, Error> {
    Ok(n)
}

#[cache]
#[must_use]
pub fn ignored_part_of_the_key(_a: u32, b: u32) -> u32 {
    b
}

#[cache(only_some, key = (n, 1).0)]
#[must_use]
pub fn some(n: u32) -> Option<u32> {
    n.checked_add(1)
}
