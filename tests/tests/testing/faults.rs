//! `premier::testing`: a test makes calls slow or failing without changing their function.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::error::Error as StdError;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;
use std::{fmt, io};

use premier::clock::{Clock, ManualClock};
use premier::testing::{Scope, scope};
use premier::{
    Error, MemoryHandler, cache, circuit_breaker, concurrency, fallback, retry, throttle, timeout,
};
use premier_tests::waits::{done, joined};

const HOUR: Duration = Duration::from_secs(3_600);

fn with_clock() -> (ManualClock, Scope) {
    let clock = ManualClock::new();
    let memory = MemoryHandler::builder().clock(clock.clone()).build();
    (clock, Scope::new(memory))
}

fn fresh() -> Scope {
    Scope::new(MemoryHandler::new())
}

fn down() -> io::Error {
    io::Error::other("down")
}

thread_local! {
    static RUNS: Cell<u32> = const { Cell::new(0) };
}

fn runs() -> u32 {
    RUNS.take()
}

fn run() {
    RUNS.set(RUNS.get() + 1);
}

#[retry(max = 3, base = 0)]
fn retried() -> io::Result<u32> {
    run();
    Ok(7)
}

#[test]
fn a_retry_repeats_the_attempts_that_a_test_lets_fail() {
    let scope = fresh();
    scope.fail("retried", 2, down);
    assert_eq!(scope.run(retried).unwrap(), 7);
    assert_eq!(runs(), 1);
    scope.fail("retried", 3, down);
    assert_eq!(scope.run(retried).unwrap_err().to_string(), "down");
    assert_eq!(runs(), 0, "a call that fails does not run its body");
    assert_eq!(scope.run(retried).unwrap(), 7);
}

#[test]
fn a_circuit_opens_when_a_test_lets_calls_fail() {
    #[circuit_breaker(failures = 2, within = "1h", open_for = "1h")]
    fn probed() -> io::Result<()> {
        Ok(())
    }
    let (clock, scope) = with_clock();
    scope.fail("probed", 2, down);
    scope.run(|| {
        for _ in 0..2 {
            assert_eq!(probed().unwrap_err().to_string(), "down");
        }
        let open = probed().unwrap_err();
        let open = open.get_ref().and_then(|error| error.downcast_ref());
        assert!(matches!(open, Some(Error::CircuitOpen { .. })));
        clock.advance(HOUR);
        probed().unwrap();
    });
}

#[test]
fn a_fallback_stands_in_for_calls_that_a_test_lets_fail() {
    #[fallback(|error| Ok(error.to_string()))]
    fn page() -> io::Result<String> {
        Ok("page".to_owned())
    }
    let scope = fresh();
    scope.fail("page", 1, down);
    let pages = scope.run(|| [page(), page()].map(Result::unwrap));
    assert_eq!(pages, ["down", "page"]);
}

#[test]
fn a_cache_returns_the_stale_value_when_a_test_lets_its_renewal_fail() {
    #[cache(ttl = "1h", stale = "1h")]
    fn price() -> io::Result<u32> {
        run();
        Ok(5)
    }
    let (clock, scope) = with_clock();
    scope.run(|| {
        scope.fail("price", 1, down);
        price().unwrap_err();
        assert_eq!((price().unwrap(), price().unwrap(), runs()), (5, 5, 1));
        clock.advance(HOUR + Duration::from_secs(1));
        scope.fail("price", 1, down);
        assert_eq!((price().unwrap(), runs()), (5, 0));
    });
}

#[test]
fn an_admitted_call_fails_under_throttle_and_concurrency() {
    #[throttle(rate = "3/h")]
    #[concurrency(limit = 1)]
    fn limited() -> Result<(), Error> {
        Ok(())
    }
    let scope = fresh();
    scope.fail("limited", 1, || Error::backend("test", "down"));
    scope.run(|| {
        assert!(matches!(limited(), Err(Error::Backend { .. })));
        limited().unwrap();
    });
    assert_eq!(scope.decisions("limited").admitted, 2);
}

#[tokio::test]
async fn an_async_timeout_ends_a_call_that_a_test_makes_slow() {
    #[timeout("1h")]
    async fn answer() -> Result<u32, Error> {
        Ok(42)
    }
    let (clock, scope) = with_clock();
    scope.slow("answer", 2 * HOUR);
    let call = tokio::spawn(scope.run_async(answer()));
    while clock.sleepers() < 2 {
        tokio::task::yield_now().await;
    }
    clock.advance(HOUR);
    assert!(done("the call", call).await.unwrap_err().is_timeout());
    scope.slow("answer", Duration::ZERO);
    assert_eq!(scope.run_async(answer()).await.unwrap(), 42);
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_sleeps_by_the_paused_time_of_tokio() {
    #[retry(max = 2, base = 0)]
    #[timeout("1h")]
    async fn answer() -> Result<u32, Error> {
        Ok(42)
    }
    let scope = fresh();
    let began = tokio::time::Instant::now();
    scope.slow("answer", HOUR / 2);
    assert_eq!(scope.run_async(answer()).await.unwrap(), 42);
    assert!(began.elapsed() >= HOUR / 2);
    scope.slow("answer", 2 * HOUR);
    assert!(scope.run_async(answer()).await.unwrap_err().is_timeout());
    // Two attempts, each as long as the timeout.
    assert!(began.elapsed() >= 2 * HOUR + HOUR / 2);
}

#[test]
fn a_sync_timeout_ends_a_call_that_a_test_makes_slow() {
    static RUN: AtomicU32 = AtomicU32::new(0);
    #[timeout("1h")]
    fn answer() -> Result<u32, Error> {
        Ok(RUN.fetch_add(1, Ordering::SeqCst))
    }
    let (clock, scope) = with_clock();
    scope.slow("answer", 2 * HOUR);
    let caller = thread::spawn(move || scope.run(answer));
    clock.wait_for_sleepers(2);
    clock.advance(HOUR);
    let late = joined("the caller", caller).unwrap().unwrap_err();
    assert!(late.is_timeout());
    assert_eq!(RUN.load(Ordering::SeqCst), 0, "the worker still sleeps");
    clock.advance(HOUR);
}

#[test]
fn a_call_may_be_slow_before_it_fails() {
    let (clock, scope) = with_clock();
    scope.slow("retried", HOUR);
    scope.fail("retried", u64::MAX, down);
    let began = clock.now();
    let caller = thread::spawn(move || scope.run(|| retried().unwrap_err()));
    for _ in 0..3 {
        clock.wait_for_sleepers(1);
        clock.advance(HOUR);
    }
    joined("the caller", caller).unwrap();
    assert_eq!(Duration::from_nanos(clock.now() - began), 3 * HOUR);
}

#[test]
fn a_function_recovers_when_a_test_says_so() {
    let scope = fresh();
    scope.fail("retried", u64::MAX, down);
    scope.run(|| retried().unwrap_err());
    scope.recover("retried");
    assert_eq!(scope.run(retried).unwrap(), 7);
}

#[test]
fn calls_fail_only_within_the_scope_and_only_by_that_name() {
    let scope = fresh();
    scope.fail("retried", u64::MAX, down);
    scope.fail("tried", u64::MAX, down);
    assert_eq!(retried().unwrap(), 7);
    fresh().run(|| retried().unwrap());
    scope.recover("retried");
    assert_eq!(scope.run(retried).unwrap(), 7);
}

struct Client<T>(T);

/// An error that the functions below can only name by a parameter, or that borrows.
#[derive(Debug)]
struct Borrowing<'a>(&'a str);

impl fmt::Display for Borrowing<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl StdError for Borrowing<'_> {}

trait Answer {
    type Error;

    fn answer(&self) -> Result<u32, Self::Error>;
}

impl<T: Clone> Client<T> {
    #[retry(max = 1)]
    fn method(&self) -> Result<T, io::Error> {
        Ok(self.0.clone())
    }

    #[retry(max = 1)]
    fn with_own_error(&self) -> Result<u32, T> {
        Err(self.0.clone())
    }
}

impl<'a> Answer for Client<&'a str> {
    type Error = Borrowing<'a>;

    #[retry(max = 1)]
    fn answer(&self) -> Result<u32, Self::Error> {
        Err(Borrowing(self.0))
    }
}

#[retry(max = 1)]
fn of_any_error<E: Clone>(error: &E) -> Result<u32, Box<E>> {
    Err(Box::new(error.clone()))
}

#[retry(max = 1)]
fn borrowing(text: &str) -> Result<u32, Borrowing<'_>> {
    Err(Borrowing(text))
}

#[retry(max = 1)]
fn borrowed_value(text: &str) -> io::Result<&str> {
    Ok(text)
}

#[retry(max = 1)]
async fn opaque() -> Result<impl fmt::Display, io::Error> {
    Ok(1)
}

#[retry(max = 1)]
fn boxed_error() -> Result<(), Box<dyn StdError + Send + Sync>> {
    Ok(())
}

#[retry(max = 1)]
fn text_error() -> Result<(), &'static str> {
    Ok(())
}

#[throttle(rate = "100/s")]
fn wrapped(text: &str) -> &str {
    text
}

#[throttle(rate = "100/s")]
fn boxed_future(fine: bool) -> Pin<Box<dyn Future<Output = io::Result<bool>> + Send>> {
    Box::pin(async move { Ok(fine) })
}

#[tokio::test]
async fn functions_of_every_shape_fail_with_an_error_of_their_own_type() {
    let scope = fresh();
    for name in ["method", "borrowed_value", "opaque", "boxed_future"] {
        scope.fail(name, 1, down);
    }
    scope.fail("boxed_error", 1, || {
        Box::<dyn StdError + Send + Sync>::from("down")
    });
    scope.fail("text_error", 1, || "down");
    scope.fail("wrapped", 1, || Error::backend("test", "down"));
    scope.run(|| {
        let errors = [
            Client(0).method().unwrap_err().to_string(),
            borrowed_value("").unwrap_err().to_string(),
            boxed_error().unwrap_err().to_string(),
            text_error().unwrap_err().to_owned(),
        ];
        assert_eq!(errors, ["down"; 4]);
        assert!(matches!(wrapped(""), Err(Error::Backend { .. })));
    });
    let errors = [
        scope.run_async(opaque()).await.map(drop).unwrap_err(),
        scope.run_async(boxed_future(true)).await.unwrap_err(),
    ];
    assert_eq!(errors.map(|error| error.to_string()), ["down"; 2]);
}

/// The message with which a call panics in a scope where the function of this name fails.
fn panic_of<R>(name: &str, call: impl FnOnce() -> R) -> String {
    let scope = fresh();
    scope.fail(name, 1, || "down".to_owned());
    let panic = catch_unwind(AssertUnwindSafe(|| scope.run(call)));
    let message = panic.map(drop).unwrap_err();
    *message.downcast::<String>().unwrap()
}

#[test]
fn an_error_of_another_type_panics_and_says_what_to_make() {
    let message = panic_of("retried", retried);
    assert!(
        message.contains(
            "the error of testing::faults:retried is of the type `std::io::error::Error`"
        ),
        "{message}"
    );
    assert!(
        message.contains("makes one of the type `alloc::string::String`"),
        "{message}"
    );
}

#[test]
fn a_function_whose_error_a_test_cannot_make_panics_and_says_why() {
    #[cache]
    fn number() -> u32 {
        7
    }
    let text = String::from("text");
    let client = Client("text");
    for message in [
        panic_of("number", number),
        panic_of("borrowing", || borrowing(&text).is_ok()),
        panic_of("of_any_error", || of_any_error(&1).is_ok()),
        panic_of("with_own_error", || client.with_own_error().is_ok()),
        panic_of("answer", || client.answer().is_ok()),
    ] {
        assert!(
            message.contains("has no error that a test can make"),
            "{message}"
        );
    }
}

#[test]
fn every_function_can_be_slow() {
    #[cache]
    fn number() -> u32 {
        7
    }
    let (clock, scope) = with_clock();
    scope.slow("number", HOUR);
    let caller = thread::spawn(move || scope.run(number));
    clock.wait_for_sleepers(1);
    clock.advance(HOUR);
    assert_eq!(joined("the caller", caller).unwrap(), 7);
}

#[test]
fn a_scope_within_a_scope_has_its_own_faults() {
    let outer = fresh();
    outer.fail("retried", u64::MAX, down);
    outer.run(|| {
        scope(MemoryHandler::new(), || retried().unwrap());
        retried().unwrap_err();
    });
}
