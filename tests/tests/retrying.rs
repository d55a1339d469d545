//! `#[retry]`: which errors it retries, how often, after which delays, and the events it emits.
//! Time is virtual.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::error::Error as StdError;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use premier::clock::{Clock, ManualClock};
use premier::{Config, Error, MemoryHandler, RetryBudget, RetryEvent, retry, throttle};
use premier_tests::waits::finishes;

/// Jumps to the end of every wait, because only one call at a time sleeps in these tests.
static CLOCK: LazyLock<ManualClock> = LazyLock::new(|| {
    let clock = ManualClock::auto_advancing();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    // The budget is large enough for every test of this file.
    let budget = RetryBudget::new(1_000.0).at_most(1_000_000);
    premier::config(Config::new(handler).retry_budget(budget)).unwrap();
    clock
});

/// All tests share the clock, so they run one at a time.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    LazyLock::force(&CLOCK);
    turn
}

#[derive(Clone, Debug, PartialEq)]
enum Failure {
    Busy(u32),
    Fatal,
    Throttled(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Throttled(error.to_string())
    }
}

/// The result of `call`, and the instants at which it marked an attempt, in seconds since the
/// first.
fn instants<T>(call: impl FnOnce(&mut dyn FnMut()) -> T) -> (T, Vec<f64>) {
    let start = CLOCK.now();
    let mut at = Vec::new();
    let output = call(&mut || at.push((CLOCK.now() - start) as f64 / 1e9));
    (output, at)
}

macro_rules! delays {
    ($($test:ident: ($($argument:tt)*) => $expected:expr;)*) => {$(
        #[test]
        fn $test() {
            #[retry($($argument)*)]
            fn fails(mark: &mut dyn FnMut()) -> Result<(), Failure> {
                mark();
                Err(Failure::Busy(0))
            }
            #[retry($($argument)*)]
            async fn fails_async(mark: &mut dyn FnMut()) -> Result<(), Failure> {
                mark();
                Err(Failure::Busy(0))
            }
            finishes("the retries end", || {
                let _turn = alone();
                let (result, at) = instants(|mark| fails(mark));
                assert_eq!(result, Err(Failure::Busy(0)));
                assert_eq!(at, $expected);
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let (result, at) = instants(|mark| runtime.block_on(fails_async(mark)));
                assert_eq!(result, Err(Failure::Busy(0)));
                assert_eq!(at, $expected);
            });
        }
    )*};
}

fn squares(nth: u32) -> Duration {
    Duration::from_secs(u64::from((nth + 1) * (nth + 1)))
}

const BASE: Duration = Duration::from_secs(2);

delays! {
    three_attempts_are_made_by_default: (jitter = "none") => [0.0, 1.0, 3.0];
    exponential_delays_double: (strategy = "expo", base = "100ms", max = 5, jitter = "none") => [0.0, 0.1, 0.3, 0.7, 1.5];
    exponential_delays_grow_by_the_factor: (base = "100ms", factor = 3, max = 4, jitter = "none") => [0.0, 0.1, 0.4, 1.3];
    no_exponential_delay_exceeds_the_maximum: (base = "100ms", max_delay = "500ms", max = 6, jitter = "none") => [0.0, 0.1, 0.3, 0.7, 1.2, 1.7];
    fixed_delays_are_equal: (strategy = "fixed", max = 4) => [0.0, 1.0, 2.0, 3.0];
    linear_delays_grow_by_the_base: (strategy = "linear", max = 4) => [0.0, 1.0, 3.0, 6.0];
    fibonacci_delays_are_sums_of_the_two_previous_delays: (strategy = "fibonacci", max = 6) => [0.0, 1.0, 2.0, 4.0, 7.0, 12.0];
    the_last_delay_of_a_list_is_repeated: (strategy = [1, "2s", 0.5], max = 5) => [0.0, 1.0, 3.0, 3.5, 4.0];
    a_function_may_return_the_delays: (strategy = squares, max = 4) => [0.0, 1.0, 5.0, 14.0];
    a_closure_may_return_the_delays: (strategy = |nth| Duration::from_secs(u64::from(nth)), max = 4) => [0.0, 0.0, 1.0, 3.0];
    arguments_may_be_expressions: (base = BASE, max = 2 + 1, strategy = "fixed") => [0.0, 2.0, 4.0];
    no_attempt_begins_after_the_maximum_time: (strategy = "fixed", max = 100, max_elapsed = "2500ms") => [0.0, 1.0, 2.0];
    a_max_of_one_never_retries: (max = 1) => [0.0];
}

#[test]
fn only_errors_of_the_pattern_or_predicate_are_retried() {
    thread_local!(static CALLS: Cell<u32> = const { Cell::new(0) });

    #[retry(on = Failure::Busy(1..=5) | Failure::Throttled(_), base = 0)]
    fn by_pattern(error: Failure) -> Result<u32, Failure> {
        CALLS.set(CALLS.get() + 1);
        Err(error)
    }
    #[retry(when = |error| matches!(error, Failure::Busy(code) if *code > 5), base = 0)]
    fn by_predicate(error: Failure) -> Result<u32, Failure> {
        CALLS.set(CALLS.get() + 1);
        Err(error)
    }
    let _turn = alone();
    let calls = |call: &dyn Fn()| {
        CALLS.set(0);
        call();
        CALLS.get()
    };
    for (error, pattern, predicate) in [
        (Failure::Busy(1), 3, 1),
        (Failure::Busy(6), 1, 3),
        (Failure::Fatal, 1, 1),
        (Failure::Throttled(String::new()), 3, 1),
    ] {
        let kept = error.clone();
        assert_eq!(
            calls(&|| assert_eq!(by_pattern(kept.clone()), Err(kept.clone()))),
            pattern,
            "{error}"
        );
        assert_eq!(
            calls(&|| drop(by_predicate(kept.clone()))),
            predicate,
            "{error}"
        );
    }
}

#[test]
fn on_retry_is_called_before_each_retry_until_a_success() {
    static EVENTS: Mutex<Vec<(u32, Duration, u32)>> = Mutex::new(Vec::new());

    fn record(event: &RetryEvent<'_, Failure>) {
        assert_eq!(
            event.function,
            "retrying:on_retry_is_called_before_each_retry_until_a_success::flaky"
        );
        if let Failure::Busy(code) = event.error {
            let event = (event.attempt, event.delay, *code);
            EVENTS.lock().unwrap().push(event);
        }
    }

    #[retry(strategy = "linear", max = 9, on_retry = record)]
    fn flaky(left: &mut u32) -> Result<&'static str, Failure> {
        if *left == 0 {
            return Ok("done");
        }
        *left -= 1;
        Err(Failure::Busy(*left))
    }
    let _turn = alone();
    assert_eq!(flaky(&mut 3), Ok("done"));
    let second = Duration::from_secs(1);
    assert_eq!(
        *EVENTS.lock().unwrap(),
        [(1, second, 2), (2, 2 * second, 1), (3, 3 * second, 0)]
    );
}

/// Wraps another error, as error enums of applications do.
#[derive(Debug)]
struct Wrapped(Box<dyn StdError + Send + Sync>);

impl fmt::Display for Wrapped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("wrapped")
    }
}

impl StdError for Wrapped {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

impl From<Error> for Wrapped {
    fn from(error: Error) -> Self {
        // Nested twice.
        Self(Box::new(std::io::Error::other(Self(Box::new(error)))))
    }
}

#[test]
fn a_retry_waits_for_the_retry_after_anywhere_in_the_error_chain() {
    type Boxed = Box<dyn StdError + Send + Sync>;

    macro_rules! hinted {
        ($name:ident, $error:ty) => {
            #[retry(base = "1ms", max_delay = "1min")]
            #[throttle(rate = "1/min")]
            fn $name() -> Result<(), $error> {
                Ok(())
            }
            $name().unwrap();
            let before = CLOCK.now();
            assert!($name().is_ok());
            assert_eq!(
                CLOCK.now() - before,
                60_000_000_000,
                "{}",
                stringify!($error)
            );
        };
    }
    let _turn = alone();
    hinted!(own, Error);
    hinted!(in_chain, Wrapped);
    hinted!(boxed, Boxed);
    hinted!(local_box, Box<dyn StdError>);
    hinted!(io, std::io::Error);
}

#[test]
fn errors_without_a_retry_after_are_retried() {
    /// Borrows its text and does not implement `std::error::Error`.
    #[derive(Debug)]
    struct Odd<'a>(&'a str);

    #[retry(strategy = "fixed")]
    fn odd<'a>(text: &'a str, calls: &mut u32) -> Result<(), Odd<'a>> {
        *calls += 1;
        Err(Odd(text))
    }
    #[retry(strategy = "fixed")]
    fn text(calls: &mut u32) -> Result<(), String> {
        *calls += 1;
        Err(String::new())
    }
    let _turn = alone();
    let mut calls = 0;
    assert_eq!(odd("x", &mut calls).unwrap_err().0, "x");
    assert!(text(&mut calls).is_err());
    assert_eq!(calls, 6);
}

#[test]
fn owned_arguments_are_cloned_for_each_attempt_and_references_are_not() {
    static CLONES: AtomicU32 = AtomicU32::new(0);

    #[derive(Debug)]
    struct Counted(Vec<u32>);

    impl Clone for Counted {
        fn clone(&self) -> Self {
            CLONES.fetch_add(1, Ordering::Relaxed);
            Self(self.0.clone())
        }
    }

    #[retry(strategy = "fixed", max = 4)]
    fn eats(mut list: Counted, seen: &Counted, lengths: &mut Vec<usize>) -> Result<(), Failure> {
        list.0.push(1);
        lengths.push(list.0.len() + seen.0.len());
        drop(list);
        Err(Failure::Fatal)
    }
    let _turn = alone();
    let mut lengths = Vec::new();
    assert!(eats(Counted(vec![]), &Counted(vec![]), &mut lengths).is_err());
    assert_eq!(lengths, [1, 1, 1, 1]);
    assert!(CLONES.load(Ordering::Relaxed) <= 4);
}

#[test]
fn invalid_values_at_run_time_are_config_errors() {
    #[retry(max = "x".len() - 1)]
    fn no_attempt() -> Result<(), Error> {
        Ok(())
    }
    #[retry(factor = f64::from(1_u8) / 2.0)]
    fn shrinking() -> Result<(), Error> {
        Ok(())
    }
    #[retry(factor = f64::NAN)]
    fn no_number() -> Result<(), Error> {
        Ok(())
    }
    #[retry(jitter = String::from("some"))]
    fn unknown_jitter() -> Result<(), Error> {
        Ok(())
    }
    let _turn = alone();
    for (result, expected) in [
        (no_attempt(), "max must be from 1"),
        (shrinking(), "at least 1, not 0.5"),
        (no_number(), "at least 1, not NaN"),
        (unknown_jitter(), "unknown jitter \"some\""),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Config { .. }));
        let text = error.to_string();
        assert!(
            text.contains(expected) && text.contains("#[retry] of retrying:"),
            "{text}"
        );
    }
}
