//! Outputs whose name does not say whether they are a `Result`.
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all, clippy::pedantic)]
#![allow(clippy::unused_async)]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};

use premier::{Error, cache, circuit_breaker, concurrency, retry, throttle, timeout};

/// Not a `Result`.
#[derive(Clone, Debug, PartialEq)]
struct SearchResult {
    hits: u32,
}

/// A `Result`.
type Outcome = Result<u32, Failure>;

#[derive(Debug)]
struct Failure;

impl From<Error> for Failure {
    fn from(_: Error) -> Self {
        Self
    }
}

/// Counts a call. It fails if it is the first.
fn fails_once(calls: &AtomicU32) -> Outcome {
    match calls.fetch_add(1, Ordering::Relaxed) {
        0 => Err(Failure),
        before => Ok(before + 1),
    }
}

#[test]
fn a_struct_named_result_is_cached_as_a_whole() {
    static CALLS: AtomicU32 = AtomicU32::new(0);

    #[cache]
    fn search() -> SearchResult {
        SearchResult {
            hits: CALLS.fetch_add(1, Ordering::Relaxed),
        }
    }

    assert_eq!(search(), search());
}

#[tokio::test]
async fn of_a_result_by_any_name_only_ok_is_cached() {
    static CALLS: AtomicU32 = AtomicU32::new(0);

    #[cache]
    async fn count() -> Outcome {
        fails_once(&CALLS)
    }

    count().await.unwrap_err();
    assert_eq!(count().await.unwrap(), 2);
    assert_eq!(count().await.unwrap(), 2);
}

#[test]
fn a_generic_output_is_cached_as_a_whole() {
    #[cache(key = 0)]
    fn first<T: Clone + Send + Sync + 'static>(values: &[T]) -> T {
        values[0].clone()
    }

    assert_eq!(first(&[1, 2]), 1);
    assert_eq!(first(&[2, 1]), 1);
}

#[test]
fn retry_looks_into_a_result_by_any_name() {
    static CALLS: AtomicU32 = AtomicU32::new(0);

    #[retry(max = 2, base = 0)]
    fn count() -> Outcome {
        fails_once(&CALLS)
    }

    assert_eq!(count().unwrap(), 2);
}

#[test]
fn a_breaker_looks_into_a_result_by_any_name() {
    #[circuit_breaker(failures = 1, result)]
    fn fails(calls: &AtomicU32) -> Outcome {
        fails_once(calls)
    }

    let calls = AtomicU32::new(0);
    fails(&calls).unwrap_err();
    fails(&calls).unwrap_err();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[throttle(quota = 1, duration = "1h", result)]
fn says_result() -> Outcome {
    Ok(1)
}

#[retry(max = 2, base = 0, result)]
#[concurrency(limit = 10)]
#[timeout(60)]
#[throttle(quota = 1, duration = "1h")]
async fn says_result_for_all() -> Outcome {
    Ok(1)
}

#[timeout(result, seconds = 60)]
fn boxed_says_result() -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
    Box::pin(async { Ok(1) })
}

#[tokio::test]
async fn result_makes_refusals_errors_of_the_function() {
    let first: Outcome = says_result();
    assert!(matches!((first, says_result()), (Ok(1), Err(Failure))));
    let first: Outcome = says_result_for_all().await;
    let second = says_result_for_all().await;
    assert!(matches!((first, second), (Ok(1), Err(Failure))));
    assert!(matches!(boxed_says_result().await, Ok(1)));
}

#[cache]
#[timeout(60)]
#[throttle(quota = 1, duration = "1h", result = false)]
async fn says_other(hits: u32) -> SearchResult {
    SearchResult { hits }
}

#[throttle(quota = 1, duration = "1h", result = false)]
fn says_other_of_a_result() -> Result<u32, u8> {
    Ok(1)
}

#[tokio::test]
async fn result_false_puts_the_output_into_a_result() {
    let first: Result<SearchResult, Error> = says_other(1).await;
    assert_eq!(first.unwrap().hits, 1);
    says_other(2).await.unwrap_err();
    let first: Result<Result<u32, u8>, Error> = says_other_of_a_result();
    assert!(matches!(first, Ok(Ok(1))));
}
