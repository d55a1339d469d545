//! `#[fallback]`: what a function returns when all below it has failed.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU32, Ordering};

use premier::{Error, cache, circuit_breaker, fallback, retry, throttle, timeout};

#[derive(Debug, PartialEq)]
enum Failure {
    Down,
    Premier(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Premier(error.to_string())
    }
}

#[test]
fn a_failed_call_returns_the_value_of_the_fallback() {
    #[fallback(|error| { assert_eq!(error, Failure::Down); Ok(7) })]
    fn load(is_up: bool) -> Result<u32, Failure> {
        if is_up { Ok(1) } else { Err(Failure::Down) }
    }
    assert_eq!(load(true), Ok(1));
    assert_eq!(load(false), Ok(7));
}

#[test]
fn a_fallback_may_be_a_function_and_may_fail_itself() {
    fn give_up(error: Failure) -> Result<u32, Failure> {
        Err(Failure::Premier(format!("gave up: {error:?}")))
    }
    #[fallback(give_up)]
    fn load() -> Result<u32, Failure> {
        Err(Failure::Down)
    }
    assert_eq!(load(), Err(Failure::Premier("gave up: Down".to_owned())));
}

#[test]
fn a_function_that_cannot_fail_stays_one_above_a_limit() {
    #[fallback(|error| { assert!(error.retry_after().is_some()); 0 })]
    #[throttle(quota = 1, duration = "1h")]
    fn number() -> u32 {
        7
    }
    assert_eq!([number(), number()], [7, 0]);
}

#[tokio::test]
async fn async_functions_methods_and_futures_fall_back() {
    struct Client(u32);
    impl Client {
        #[fallback(|_| self.0)]
        #[timeout("1ms")]
        async fn slow(&self) -> u32 {
            std::future::pending().await
        }

        #[fallback(|_| Ok(self.0 + 1))]
        fn later(&self) -> impl Future<Output = Result<u32, Failure>> {
            std::future::ready(Err(Failure::Down))
        }
    }
    let client = Client(7);
    assert_eq!(client.slow().await, 7);
    assert_eq!(client.later().await, Ok(8));
}

#[test]
fn the_attempts_below_a_fallback_come_first() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    #[fallback(|_| Ok(0))]
    #[retry(max = 3, base = 0)]
    fn load() -> Result<u32, Failure> {
        match RUNS.fetch_add(1, Ordering::SeqCst) {
            1 => Ok(1),
            _ => Err(Failure::Down),
        }
    }
    assert_eq!(load(), Ok(1));
    assert_eq!(load(), Ok(0));
    assert_eq!(RUNS.load(Ordering::SeqCst), 5);
}

#[test]
fn attributes_above_neither_keep_count_nor_retry_what_a_fallback_returns() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    #[cache(key = 0)]
    #[retry(max = 3, base = 0)]
    #[circuit_breaker(failures = 1)]
    #[fallback(|_| Err(Failure::Premier("substitute".to_owned())))]
    fn load() -> Result<u32, Failure> {
        RUNS.fetch_add(1, Ordering::SeqCst);
        Err(Failure::Down)
    }
    for calls in 1..=3 {
        assert_eq!(load(), Err(Failure::Premier("substitute".to_owned())));
        assert_eq!(RUNS.load(Ordering::SeqCst), calls);
    }
}

#[test]
fn an_attribute_above_a_fallback_still_rejects_calls() {
    #[throttle(quota = 2, duration = "1h")]
    #[fallback(|_| 0)]
    #[throttle(quota = 1, duration = "1h")]
    fn number() -> u32 {
        7
    }
    assert_eq!((number().unwrap(), number().unwrap()), (7, 0));
    assert!(matches!(number(), Err(Error::QuotaExceeded { .. })));
}

#[test]
fn an_invalid_argument_is_not_hidden() {
    static QUOTA: AtomicU32 = AtomicU32::new(0);
    #[fallback(|_| Ok(0))]
    #[throttle(quota = QUOTA.load(Ordering::SeqCst), duration = "1h")]
    fn load() -> Result<u32, Error> {
        Ok(1)
    }
    #[fallback(|_| 0)]
    #[throttle(quota = QUOTA.load(Ordering::SeqCst), duration = "1h")]
    fn number() -> u32 {
        1
    }
    assert!(matches!(load(), Err(Error::Config { .. })));
    let panic = std::panic::catch_unwind(number).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(
        text.contains("#[throttle]") && text.contains("quota"),
        "{text}"
    );
}

#[test]
fn an_invalid_argument_is_not_hidden_by_an_error_that_does_not_show_it() {
    static QUOTA: AtomicU32 = AtomicU32::new(0);
    #[fallback(|_| Ok(0))]
    #[throttle(quota = QUOTA.load(Ordering::SeqCst), duration = "1h")]
    fn load() -> Result<u32, Failure> {
        Ok(1)
    }
    assert!(matches!(load(), Err(Failure::Premier(text)) if text.contains("quota")));
}

#[test]
fn each_fallback_of_several_handles_what_is_below_it() {
    #[fallback(|_| Ok(2))]
    #[fallback(|_| Err(Failure::Premier("first".to_owned())))]
    fn load() -> Result<u32, Failure> {
        Err(Failure::Down)
    }
    assert_eq!(load(), Ok(2));
}
