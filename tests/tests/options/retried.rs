//! The options of `#[retry]`.

use super::*;

/// The duration and the number of attempts of a call whose every attempt fails.
fn failing(subject: &Subject, what: u32) -> (Duration, u32) {
    let before = subject.count();
    let length = took(|| {
        let failed = subject.call(what, 1);
        assert!(
            matches!(failed, Err(Failure::Minor | Failure::Major)),
            "{failed:?}"
        );
    });
    (length, subject.count() - before)
}

/// One test for each option, with the seconds and attempts until the call fails.
macro_rules! delays {
    ($($name:ident: [$($attribute:tt)*] $seconds:literal s in $attempts:literal;)*) => {
        $(
            #[test]
            fn $name() {
                let shapes = shapes!(|calls, what, key| $($attribute)*);
                each(shapes, |subject, shape| {
                    assert_eq!(
                        failing(subject, MINOR),
                        (Duration::from_secs_f64($seconds), $attempts),
                        "{shape}"
                    );
                });
            }
        )*
    };
}

delays! {
    three_attempts_are_made_by_default: [#[retry(strategy = "fixed")]] 2.0 s in 3;
    max_counts_all_attempts: [#[retry(strategy = "fixed", max = 5)]] 4.0 s in 5;
    a_max_of_one_attempt_never_retries: [#[retry(strategy = "fixed", max = 1)]] 0.0 s in 1;
    the_base_is_the_first_delay: [#[retry(strategy = "fixed", base = "1500ms")]] 3.0 s in 3;
    linear_delays_grow_by_the_base: [#[retry(strategy = "linear", max = 4)]] 6.0 s in 4;
    exponential_delays_double: [#[retry(strategy = "expo", max = 5, jitter = "none")]] 15.0 s in 5;
    exponential_delays_grow_by_the_factor: [#[retry(max = 4, factor = 3, jitter = "none")]] 13.0 s in 4;
    fibonacci_delays_are_sums_of_the_two_previous_delays: [#[retry(strategy = "fibonacci", max = 6)]] 12.0 s in 6;
    the_last_delay_of_a_list_is_repeated: [#[retry(strategy = [1, 0.5], max = 4)]] 2.0 s in 4;
    a_function_may_return_the_delays:
        [#[retry(strategy = |nth| Duration::from_secs(u64::from(nth) * 10 + 1), max = 3)]] 12.0 s in 3;
    no_delay_is_longer_than_max_delay:
        [#[retry(strategy = "expo", max = 6, jitter = "none", max_delay = 3)]] 12.0 s in 6;
    no_attempt_begins_after_max_elapsed:
        [#[retry(strategy = "fixed", base = 2, max = 9, max_elapsed = 5)]] 4.0 s in 3;
}

#[test]
fn only_errors_of_the_pattern_are_retried() {
    let shapes = shapes!(|calls, what, key| #[retry(strategy = "fixed", on = Failure::Minor)]);
    each(shapes, |subject, shape| {
        assert_eq!(failing(subject, MINOR).1, 3, "{shape}");
        assert_eq!(failing(subject, MAJOR).1, 1, "{shape}");
    });
}

#[test]
fn only_errors_that_the_predicate_accepts_are_retried() {
    let shapes = shapes!(|calls, what, key|
        #[retry(strategy = "fixed", when = |error| matches!(error, Failure::Major))]);
    each(shapes, |subject, shape| {
        assert_eq!(failing(subject, MINOR).1, 1, "{shape}");
        assert_eq!(failing(subject, MAJOR).1, 3, "{shape}");
    });
}

#[test]
fn on_retry_is_called_before_each_delay() {
    static DELAYS: Mutex<Vec<Duration>> = Mutex::new(Vec::new());
    let shapes = shapes!(|calls, what, key|
        #[retry(strategy = "linear", on_retry = |event| DELAYS.lock().unwrap().push(event.delay))]);
    each(shapes, |subject, shape| {
        failing(subject, MINOR);
        let delays = std::mem::take(&mut *DELAYS.lock().unwrap());
        assert_eq!(delays, [SECOND, 2 * SECOND], "{shape}");
    });
}

#[test]
fn full_jitter_varies_and_never_exceeds_the_delay() {
    let shapes = shapes!(|calls, what, key|
        #[retry(strategy = "fixed", base = 40, jitter = "full", max = 2)]);
    each(shapes, |subject, shape| {
        let lengths: Vec<_> = (0..20).map(|_| failing(subject, MINOR).0).collect();
        assert!(
            lengths.iter().all(|length| *length <= 40 * SECOND),
            "{shape}: {lengths:?}"
        );
        assert!(
            lengths.iter().any(|length| *length < 20 * SECOND),
            "{shape}: {lengths:?}"
        );
        assert!(
            lengths.iter().any(|length| *length > 20 * SECOND),
            "{shape}: {lengths:?}"
        );
    });
}

#[test]
fn equal_jitter_waits_at_least_half_of_the_delay() {
    let shapes = shapes!(|calls, what, key|
        #[retry(strategy = "fixed", base = 40, jitter = "equal", max = 2)]);
    each(shapes, |subject, shape| {
        let lengths: Vec<_> = (0..20).map(|_| failing(subject, MINOR).0).collect();
        let range = 20 * SECOND..=40 * SECOND;
        assert!(
            lengths.iter().all(|length| range.contains(length)),
            "{shape}: {lengths:?}"
        );
        assert!(
            lengths.iter().any(|length| *length != lengths[0]),
            "{shape}: {lengths:?}"
        );
    });
}
