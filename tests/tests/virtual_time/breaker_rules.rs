//! When a circuit breaker opens, what its probes decide, and for how long it is open.
#![forbid(unsafe_code)]

use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use premier::clock::ManualClock;
use premier::testing::scope;
use premier::{Error, MemoryHandler, circuit_breaker, concurrency, timeout};

use super::alone;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Failure {
    Down,
    Premier(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Premier(error)
    }
}

/// How long the circuit refuses calls, if it has refused this one.
fn refused<T>(result: &Result<T, Failure>) -> Option<Duration> {
    match result {
        Err(Failure::Premier(Error::CircuitOpen { retry_after, .. })) => Some(*retry_after),
        _ => None,
    }
}

fn is_refused<T>(result: Result<T, Failure>) -> bool {
    refused(&result).is_some()
}

/// Runs a test with a clock and circuits of its own.
fn with_clock(test: impl FnOnce(&ManualClock)) {
    let clock = ManualClock::new();
    let handler = MemoryHandler::builder().clock(clock.clone()).build();
    scope(handler, || test(&clock));
}

fn poll<T>(future: &mut Pin<Box<impl Future<Output = T>>>) -> Poll<T> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

/// The output of a call that ends at its first poll, or of one that was begun before.
fn ended<F: Future>(call: &mut Pin<Box<F>>) -> F::Output {
    match poll(call) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the call has not ended"),
    }
}

fn ends_at_once<T>(call: impl Future<Output = T>) -> T {
    ended(&mut Box::pin(call))
}

/// Begins a call that does not end.
fn begun<F: Future>(call: F) -> Pin<Box<F>> {
    let mut call = Box::pin(call);
    assert!(poll(&mut call).is_pending());
    call
}

fn outcome(is_up: bool) -> Result<(), Failure> {
    if is_up { Ok(()) } else { Err(Failure::Down) }
}

#[circuit_breaker]
fn by_default(is_up: bool) -> Result<(), Failure> {
    outcome(is_up)
}

/// Lets the circuit of [`by_default`] become half open.
fn trip_default(clock: &ManualClock) {
    for _ in 0..20 {
        assert!(!is_refused(by_default(false)));
    }
    assert_eq!(refused(&by_default(true)), Some(30 * SECOND));
    clock.advance(30 * SECOND);
}

#[test]
fn a_dependency_that_rarely_fails_is_never_cut_off_however_often_it_is_called() {
    // The process's configuration, because half a million calls are slow in a scope.
    let clock = alone();
    for call in 0..840 * 600 {
        clock.advance(SECOND / 840);
        assert!(!is_refused(by_default(call % 714 != 0)));
    }
}

#[test]
fn a_half_of_twenty_calls_has_to_fail_by_default() {
    with_clock(|_| {
        for is_up in [true; 11].into_iter().chain([false; 10]) {
            assert!(!is_refused(by_default(is_up)));
        }
        assert!(!is_refused(by_default(false)), "10 of 21 have failed");
        assert!(is_refused(by_default(true)), "11 of 22 have failed");
    });
    with_clock(|_| {
        for _ in 0..19 {
            assert!(!is_refused(by_default(false)));
        }
        assert!(!is_refused(by_default(false)), "19 calls are too few");
        assert!(is_refused(by_default(true)));
    });
}

#[test]
fn a_success_that_completes_the_minimum_opens_a_circuit_whose_rate_is_reached() {
    with_clock(|_| {
        for call in 0..20 {
            assert!(!is_refused(by_default(call % 2 == 1)));
        }
        assert!(is_refused(by_default(true)), "10 of 20 have failed");
    });
}

#[test]
fn a_call_counts_no_longer_than_within() {
    with_clock(|clock| {
        for _ in 0..1_000 {
            assert!(!is_refused(by_default(true)));
        }
        for _ in 0..19 {
            assert!(!is_refused(by_default(false)));
        }
        clock.advance(10 * SECOND);
        for _ in 0..20 {
            assert!(!is_refused(by_default(false)), "only these count");
        }
        assert!(is_refused(by_default(true)));
    });
}

#[test]
fn all_calls_of_the_last_nine_tenths_of_within_count() {
    with_clock(|clock| {
        for _ in 0..10 {
            assert!(!is_refused(by_default(false)));
            assert!(!is_refused(by_default(false)));
            clock.advance(SECOND - Duration::from_millis(1));
        }
        assert!(is_refused(by_default(true)));
    });
}

#[test]
fn a_rate_and_a_minimum_of_calls_can_be_given() {
    #[circuit_breaker(failure_rate = 0.1, minimum_calls = 30, within = "1m")]
    fn call(is_up: bool) -> Result<(), Failure> {
        outcome(is_up)
    }
    with_clock(|_| {
        for number in 0..29 {
            assert!(!is_refused(call(number % 10 != 0)));
        }
        assert!(!is_refused(call(true)), "3 of 30 have failed");
        assert!(is_refused(call(true)));
    });
}

#[test]
fn an_absolute_number_of_failures_opens_the_circuit_among_any_number_of_calls() {
    #[circuit_breaker(failures = 5)]
    fn call(is_up: bool) -> Result<(), Failure> {
        outcome(is_up)
    }
    with_clock(|_| {
        for _ in 0..4 {
            assert!(!is_refused(call(false)));
        }
        for _ in 0..1_000 {
            assert!(!is_refused(call(true)));
        }
        assert!(!is_refused(call(false)));
        assert!(is_refused(call(true)));
    });
}

#[test]
fn each_key_has_a_rate_of_its_own() {
    #[circuit_breaker(key = host)]
    fn call(host: &str, is_up: bool) -> Result<(), Failure> {
        let _ = host;
        outcome(is_up)
    }
    with_clock(|_| {
        for _ in 0..21 {
            assert!(!is_refused(call("up", true)));
        }
        for _ in 0..20 {
            assert!(!is_refused(call("up", false)), "of more than 40 calls");
            assert!(!is_refused(call("down", false)));
        }
        assert!(is_refused(call("down", true)));
        assert!(!is_refused(call("up", true)));
    });
}

#[test]
fn slow_calls_open_the_circuit_if_slow_rate_is_given() {
    #[circuit_breaker(slow_rate = 0.8)]
    fn judged(clock: &ManualClock, length: Duration) -> Result<(), Failure> {
        clock.advance(length);
        Ok(())
    }
    #[circuit_breaker]
    fn not_judged(clock: &ManualClock, length: Duration) -> Result<(), Failure> {
        clock.advance(length);
        Ok(())
    }
    #[circuit_breaker(slow = "10ms", slow_rate = 1.0, failures = 3, minimum_calls = 2)]
    fn soon(clock: &ManualClock, length: Duration) -> Result<(), Failure> {
        clock.advance(length);
        Ok(())
    }
    let almost = SECOND - Duration::from_nanos(1);
    with_clock(|clock| {
        for _ in 0..100 {
            assert!(!is_refused(judged(clock, almost / 10)));
            assert!(!is_refused(not_judged(clock, SECOND)));
        }
    });
    with_clock(|clock| {
        // A window of ten seconds has at most ten calls of a second each, so these are called side by side.
        #[circuit_breaker(slow_rate = 0.8)]
        async fn side_by_side() -> Result<(), Failure> {
            let mut is_begun = false;
            std::future::poll_fn(|_| match std::mem::replace(&mut is_begun, true) {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            })
            .await
        }
        for (length, count) in [(almost, 4), (SECOND, 15)] {
            let mut calls: Vec<_> = (0..count).map(|_| begun(side_by_side())).collect();
            clock.advance(length);
            for call in &mut calls {
                ended(call).unwrap();
            }
        }
        let mut last = begun(side_by_side());
        clock.advance(SECOND);
        ended(&mut last).unwrap();
        let next = ends_at_once(side_by_side());
        assert!(is_refused(next), "16 of 20 were slow");
    });
    with_clock(|clock| {
        for _ in 0..2 {
            assert!(!is_refused(soon(clock, SECOND / 100)));
        }
        assert!(is_refused(soon(clock, Duration::ZERO)));
    });
}

#[circuit_breaker(failures = 5, within = "1h")]
async fn hangs() -> Result<(), Failure> {
    pending().await
}

#[test]
fn a_call_that_is_dropped_when_it_was_slow_counts_as_a_failure() {
    with_clock(|clock| {
        for _ in 0..5 {
            let call = begun(hangs());
            clock.advance(SECOND);
            drop(call);
        }
        assert!(is_refused(ends_at_once(hangs())));
    });
}

#[test]
fn a_call_that_is_dropped_early_does_not_count() {
    with_clock(|clock| {
        for _ in 0..50 {
            let call = begun(hangs());
            clock.advance(SECOND - Duration::from_nanos(1));
            drop(call);
        }
        drop(begun(hangs()));
    });
}

#[test]
fn a_longer_slow_ignores_clients_that_go_away_earlier() {
    #[circuit_breaker(failures = 1, slow = "10s")]
    async fn patient() -> Result<(), Failure> {
        pending().await
    }
    with_clock(|clock| {
        for _ in 0..5 {
            let call = begun(patient());
            clock.advance(9 * SECOND);
            drop(call);
        }
        drop(begun(patient()));
    });
}

#[test]
fn outer_timeouts_in_a_row_open_the_circuit() {
    #[timeout("1s")]
    #[circuit_breaker(failures = 5, within = "1h")]
    async fn call() -> Result<(), Failure> {
        pending().await
    }
    with_clock(|clock| {
        for _ in 0..5 {
            let mut call = begun(call());
            clock.advance(SECOND);
            let result = ended(&mut call);
            assert!(matches!(
                result,
                Err(Failure::Premier(Error::Timeout { .. }))
            ));
        }
        assert!(is_refused(ends_at_once(call())));
    });
}

/// A refusal is no failure, even after a wait that is longer than `slow`.
#[test]
fn a_call_that_waits_for_a_permit_in_vain_does_not_count() {
    #[circuit_breaker(failures = 2, within = "1h")]
    #[concurrency(limit = 1, wait = "5s")]
    async fn call() -> Result<(), Failure> {
        pending().await
    }
    with_clock(|clock| {
        let _running = begun(call());
        for _ in 0..5 {
            let mut waiting = begun(call());
            clock.advance(5 * SECOND);
            let result = ended(&mut waiting);
            assert!(matches!(
                result,
                Err(Failure::Premier(Error::ConcurrencyExceeded { .. }))
            ));
        }
    });
}

#[test]
fn a_half_open_circuit_admits_five_probes_at_a_time_by_default() {
    #[circuit_breaker(minimum_calls = 1)]
    async fn call(is_up: Option<bool>) -> Result<(), Failure> {
        match is_up {
            Some(is_up) => outcome(is_up),
            None => pending().await,
        }
    }
    with_clock(|clock| {
        assert!(!is_refused(ends_at_once(call(Some(false)))));
        clock.advance(30 * SECOND);
        let mut probes: Vec<_> = (0..5).map(|_| begun(call(None))).collect();
        assert!(is_refused(ends_at_once(call(None))));
        // One that is dropped early gives its place back.
        probes.pop();
        drop(begun(call(None)));
    });
}

#[test]
fn probes_close_the_circuit_or_open_it_again_by_their_rate() {
    with_clock(|clock| {
        trip_default(clock);
        for is_up in [false, true, false, true, true] {
            assert!(!is_refused(by_default(is_up)));
        }
        for _ in 0..19 {
            assert!(!is_refused(by_default(false)), "closed, and counts anew");
        }
    });
    with_clock(|clock| {
        trip_default(clock);
        for is_up in [false, true, false, true, false] {
            assert!(!is_refused(by_default(is_up)));
        }
        assert_eq!(refused(&by_default(true)), Some(30 * SECOND));
    });
}

#[test]
fn probes_decide_as_soon_as_the_outcome_is_certain() {
    with_clock(|clock| {
        trip_default(clock);
        for _ in 0..3 {
            assert!(!is_refused(by_default(false)));
        }
        assert_eq!(refused(&by_default(true)), Some(30 * SECOND));
    });
}

#[circuit_breaker(failures = 1, within = "10s", open_for = "5s")]
async fn probed(is_up: Option<bool>) -> Result<(), Failure> {
    match is_up {
        Some(is_up) => outcome(is_up),
        None => pending().await,
    }
}

fn probe(is_up: bool) -> bool {
    !is_refused(ends_at_once(probed(Some(is_up))))
}

#[test]
fn a_probe_that_hangs_gives_its_place_back_after_the_open_time() {
    with_clock(|clock| {
        assert!(probe(false));
        clock.advance(5 * SECOND);
        let _hangs = begun(probed(None));
        clock.advance(5 * SECOND - Duration::from_nanos(1));
        assert!(!probe(true));
        clock.advance(Duration::from_nanos(1));
        assert!(probe(true));
        assert!(probe(true), "the circuit has closed");
    });
}

#[test]
fn calls_behind_one_probe_that_hangs_are_served_for_six_days() {
    with_clock(|clock| {
        assert!(probe(false));
        clock.advance(6 * SECOND);
        let _hangs = begun(probed(None));
        for _ in 0..144 {
            clock.advance(3_600 * SECOND);
            assert!(probe(true));
        }
    });
}

#[test]
fn a_probe_that_ends_after_it_has_lost_its_place_still_counts() {
    with_clock(|clock| {
        assert!(probe(false));
        clock.advance(5 * SECOND);
        let first = begun(probed(None));
        clock.advance(5 * SECOND);
        let _second = begun(probed(None));
        drop(first);
        assert!(!probe(true), "it was slow, so it has failed");
        clock.advance(5 * SECOND - Duration::from_nanos(1));
        assert!(!probe(true));
        clock.advance(Duration::from_nanos(1));
        assert!(probe(true));
    });
}

#[test]
fn with_open_for_max_the_open_time_doubles_with_each_trip_in_a_row_up_to_the_maximum() {
    #[circuit_breaker(failures = 1, open_for = "30s", open_for_max = "4m")]
    fn call(is_up: bool) -> Result<(), Failure> {
        outcome(is_up)
    }
    with_clock(|clock| {
        let trip = || {
            assert!(!is_refused(call(false)));
            let open_for = refused(&call(true)).unwrap();
            clock.advance(open_for - Duration::from_nanos(1));
            assert!(is_refused(call(true)));
            clock.advance(Duration::from_nanos(1));
            open_for.as_secs_f64()
        };
        for (shortest, longest) in [(30.0, 60.0), (60.0, 120.0), (120.0, 240.0), (120.0, 240.0)] {
            let open_for = trip();
            assert!((shortest..=longest).contains(&open_for), "{open_for}");
        }
        assert!(!is_refused(call(true)), "closes");
        assert!((30.0..=60.0).contains(&trip()), "begins anew");
    });
}

#[test]
fn with_open_for_max_circuits_that_open_together_do_not_probe_in_step() {
    #[circuit_breaker(failures = 1, open_for = "30s", open_for_max = "4m", key = process)]
    fn call(process: u32) -> Result<(), Failure> {
        let _ = process;
        Err(Failure::Down)
    }
    with_clock(|_| {
        let mut open_for: Vec<_> = (0..100)
            .map(|process| {
                assert!(!is_refused(call(process)));
                refused(&call(process)).unwrap()
            })
            .collect();
        open_for.sort();
        open_for.dedup();
        assert!(open_for.len() > 90, "{open_for:?}");
        assert!(*open_for.last().unwrap() - open_for[0] > 15 * SECOND);
    });
}

#[test]
fn rules_that_are_invalid_at_run_time_are_config_errors() {
    fn at_run_time<T>(value: T) -> T {
        std::hint::black_box(value)
    }
    #[circuit_breaker(failure_rate = at_run_time(1.5))]
    fn rate() -> Result<(), Error> {
        Ok(())
    }
    #[circuit_breaker(slow_rate = at_run_time(f64::NAN))]
    fn slow_rate() -> Result<(), Error> {
        Ok(())
    }
    #[circuit_breaker(open_for = at_run_time("1m"), open_for_max = "30s")]
    fn open_for_max() -> Result<(), Error> {
        Ok(())
    }
    with_clock(|_| {
        for (result, message) in [
            (
                rate(),
                "failure_rate must be above 0 and at most 1, not 1.5",
            ),
            (
                slow_rate(),
                "slow_rate must be above 0 and at most 1, not NaN",
            ),
            (
                open_for_max(),
                "open_for_max must be at least as long as open_for",
            ),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Config { .. }));
            assert!(error.to_string().contains(message), "{error}");
        }
    });
}
