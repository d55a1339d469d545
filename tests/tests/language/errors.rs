//! The kind of an error, and its source.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use premier::{
    Config, Error, Limit, MemoryHandler, OnBackendError, RedisHandler, Throttle, circuit_breaker,
    concurrency, timeout,
};
use premier_tests::ports::free_port;
use premier_tests::waits::LONGEST;

const MINUTE: Duration = Duration::from_secs(60);

/// What `is_refusal`, `is_timeout` and `is_retryable` return.
fn kinds(error: &Error) -> (bool, bool, bool) {
    (error.is_refusal(), error.is_timeout(), error.is_retryable())
}

const REFUSAL: (bool, bool, bool) = (true, false, true);
const MISTAKE: (bool, bool, bool) = (false, false, false);

fn in_memory(limit: Limit) -> Throttle {
    Throttle::new("errors", limit).with_config(MemoryHandler::new())
}

#[test]
fn a_denied_call_is_refused_and_may_be_retried() {
    let window = in_memory(Limit::fixed_window(1, MINUTE));
    window.acquire("k").unwrap();
    let error = window.acquire("k").unwrap_err();
    assert!(matches!(error, Error::QuotaExceeded { .. }));
    assert_eq!(kinds(&error), REFUSAL);

    let queue = in_memory(Limit::leaky_bucket(1, MINUTE).bucket_size(0));
    queue.acquire("k").unwrap();
    let error = queue.acquire("k").unwrap_err();
    assert!(matches!(error, Error::BucketFull { .. }));
    assert_eq!(kinds(&error), REFUSAL);
}

#[test]
fn a_call_that_costs_too_much_is_refused_for_ever() {
    let error = in_memory(Limit::fixed_window(1, MINUTE)).cost(2);
    let error = error.acquire("k").unwrap_err();
    assert_eq!(kinds(&error), (true, false, false));
}

#[test]
fn a_key_too_many_is_refused_and_may_be_retried() {
    let handler = MemoryHandler::builder().max_keys(1).build();
    let throttle = Throttle::new("errors", Limit::fixed_window(1, MINUTE)).with_config(handler);
    let error = (0..10_000).find_map(|key| throttle.check(&key).err());
    let error = error.expect("the keys are bounded");
    assert!(matches!(error, Error::TooManyKeys { .. }), "{error}");
    assert_eq!(kinds(&error), REFUSAL);
}

#[circuit_breaker(failures = 1, within = "1m", open_for = "1m")]
fn broken() -> Result<(), Error> {
    Err(Error::backend("test", "broken"))
}

#[concurrency(limit = 1)]
fn alone(inside: &dyn Fn()) -> Result<(), Error> {
    inside();
    Ok(())
}

#[timeout("1ms")]
fn slow() -> Result<(), Error> {
    // Longer than the deadline, however late the caller wakes up.
    std::thread::sleep(LONGEST);
    Ok(())
}

#[test]
fn an_open_circuit_and_a_missing_permit_are_refusals() {
    broken().unwrap_err();
    let error = broken().unwrap_err();
    assert!(matches!(error, Error::CircuitOpen { .. }), "{error}");
    assert_eq!(kinds(&error), REFUSAL);
    alone(&|| {
        let error = alone(&|| ()).unwrap_err();
        assert!(matches!(error, Error::ConcurrencyExceeded { .. }));
        assert_eq!(kinds(&error), REFUSAL);
    })
    .unwrap();
}

#[test]
fn a_timeout_is_no_refusal() {
    assert_eq!(kinds(&slow().unwrap_err()), (false, true, true));
}

#[test]
fn a_mistake_is_not_to_be_retried() {
    let error = in_memory(Limit::fixed_window(0, MINUTE)).check("k");
    assert_eq!(kinds(&error.unwrap_err()), MISTAKE);
    assert_eq!(kinds(&Error::AlreadyConfigured), MISTAKE);
}

#[test]
fn an_error_of_redis_has_the_error_of_its_driver_as_its_source() {
    let redis = RedisHandler::connect(format!("redis://127.0.0.1:{}", free_port())).unwrap();
    let config = Config::new(redis).on_backend_error(OnBackendError::Deny);
    let throttle = Throttle::new("errors", Limit::fixed_window(1, MINUTE)).with_config(config);
    let error = throttle.check("k").unwrap_err();
    assert_eq!(kinds(&error), (false, false, true));
    // A clone has the same source.
    for error in [error.clone(), error] {
        let source = error.source().expect("the driver's error");
        assert!(source.is::<redis::RedisError>(), "{source:?}");
    }
}

#[test]
fn only_an_error_of_a_store_takes_a_source() {
    let source = || io::Error::from(io::ErrorKind::BrokenPipe);
    let error = Error::backend("disk", "broken").with_source(source());
    assert!(
        error
            .source()
            .is_some_and(|source| source.is::<io::Error>())
    );
    assert!(
        Error::AlreadyConfigured
            .with_source(source())
            .source()
            .is_none()
    );
}
