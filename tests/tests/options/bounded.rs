//! The options of `#[timeout]`, `#[circuit_breaker]` and `#[concurrency]`.

use super::*;

fn is_open(subject: &Subject) -> bool {
    matches!(
        subject.call(0, 1),
        Err(Failure::Premier(Error::CircuitOpen { .. }))
    )
}

fn fail(subject: &Subject, what: u32, times: u32) {
    for _ in 0..times {
        let failed = subject.call(what, 1);
        assert!(
            matches!(failed, Err(Failure::Minor | Failure::Major)),
            "{failed:?}"
        );
    }
}

macro_rules! timeouts {
    ($($name:ident: [$($attribute:tt)*] after $after:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let shapes = shapes!(|calls, what, key| $($attribute)*);
                each(shapes, |subject, shape| {
                    // A sync caller that waits for its worker advances the clock to the timeout.
                    if shape != "sync" {
                        assert_eq!(subject.call(0, 1).unwrap(), Some(1), "{shape}");
                    }
                    let mut error = None;
                    let length = took(|| error = Some(subject.refusal(STUCK, 1)));
                    assert_eq!(length, $after, "{shape}");
                    let Some(Error::Timeout { after, .. }) = error else {
                        panic!("{shape}: {error:?}")
                    };
                    assert_eq!(after, $after, "{shape}");
                });
            }
        )*
    };
}

timeouts! {
    a_number_as_timeout_is_in_seconds: [#[timeout(60)]] after 60 * SECOND;
    a_text_as_timeout_has_its_own_unit: [#[timeout("500ms")]] after SECOND / 2;
    a_timeout_may_be_a_fraction_of_named_seconds: [#[timeout(seconds = 1.5)]] after SECOND * 3 / 2;
}

#[test]
fn on_reject_returns_a_value_instead_of_a_timeout() {
    let shapes = shapes!(|calls, what, key| #[timeout(60, on_reject = |_| Ok(Some(77)))]);
    each(shapes, |subject, shape| {
        assert_eq!(subject.call(STUCK, 1).unwrap(), Some(77), "{shape}");
        if shape != "sync" {
            assert_eq!(subject.call(NONE, 1).unwrap(), None, "{shape}");
        }
    });
}

#[test]
fn a_breaker_opens_after_its_number_of_failures_for_its_duration() {
    let shapes = shapes!(|calls, what, key|
        #[circuit_breaker(failures = 3, within = "1m", open_for = "20s")]);
    each(shapes, |subject, shape| {
        fail(subject, MINOR, 2);
        assert!(!is_open(subject), "{shape}");
        fail(subject, MINOR, 1);
        assert_eq!(
            subject.refusal(0, 1).retry_after(),
            Some(20 * SECOND),
            "{shape}"
        );
        CLOCK.advance(20 * SECOND - Duration::from_nanos(1));
        assert!(is_open(subject), "{shape}");
        CLOCK.advance(Duration::from_nanos(1));
        assert!(!is_open(subject), "{shape}");
    });
}

#[test]
fn a_breaker_ignores_failures_older_than_its_window() {
    let shapes = shapes!(|calls, what, key|
        #[circuit_breaker(failures = 2, within = "10s", open_for = "20s")]);
    each(shapes, |subject, shape| {
        for _ in 0..3 {
            fail(subject, MINOR, 1);
            CLOCK.advance(10 * SECOND);
            assert!(!is_open(subject), "{shape}");
        }
        fail(subject, MINOR, 1);
        CLOCK.advance(10 * SECOND - Duration::from_nanos(1));
        fail(subject, MINOR, 1);
        assert!(is_open(subject), "{shape}");
    });
}

#[test]
fn a_half_open_breaker_closes_after_as_many_successes_as_it_has_probes() {
    let shapes = shapes!(|calls, what, key|
        #[circuit_breaker(failures = 2, within = "1m", open_for = "20s", half_open = 2)]);
    each(shapes, |subject, shape| {
        fail(subject, MINOR, 2);
        CLOCK.advance(20 * SECOND);
        assert!(!is_open(subject), "{shape}");
        // One success is not enough to close the breaker, and one failure opens it at once.
        fail(subject, MINOR, 1);
        assert!(is_open(subject), "{shape}");
        CLOCK.advance(20 * SECOND);
        assert!(!is_open(subject) && !is_open(subject), "{shape}");
        fail(subject, MINOR, 1);
        assert!(!is_open(subject), "{shape}");
    });
}

#[test]
fn a_breaker_counts_only_errors_of_the_pattern() {
    let shapes = shapes!(|calls, what, key|
        #[circuit_breaker(failures = 2, within = "1m", open_for = "20s", on = Failure::Major)]);
    each(shapes, |subject, shape| {
        fail(subject, MINOR, 5);
        assert!(!is_open(subject), "{shape}");
        fail(subject, MAJOR, 2);
        assert!(is_open(subject), "{shape}");
    });
}

#[test]
fn a_breaker_counts_only_errors_that_the_predicate_names() {
    let shapes = shapes!(|calls, what, key|
        #[circuit_breaker(failures = 2, within = "1m", open_for = "20s", when = |error| matches!(error, Failure::Minor))]);
    each(shapes, |subject, shape| {
        fail(subject, MAJOR, 5);
        assert!(!is_open(subject), "{shape}");
        fail(subject, MINOR, 2);
        assert!(is_open(subject), "{shape}");
    });
}

#[test]
fn on_reject_returns_a_value_while_the_breaker_is_open() {
    let shapes = shapes!(|calls, what, key|
        #[circuit_breaker(failures = 1, within = "1m", open_for = "20s", on_reject = |_| Ok(Some(77)))]);
    each(shapes, |subject, shape| {
        fail(subject, MINOR, 1);
        assert_eq!(subject.call(0, 1).unwrap(), Some(77), "{shape}");
        assert_eq!(subject.count(), 1, "{shape}");
    });
}

/// Functions of each shape that call themselves `depth` times, so that they hold `depth + 1`
/// permits.
macro_rules! nested {
    ($($attribute:tt)*) => {{
        $($attribute)*
        fn sync(depth: u32) -> CallResult {
            if depth == 0 { Ok(Some(0)) } else { sync(depth - 1) }
        }

        $($attribute)*
        async fn asynchronous(depth: u32) -> CallResult {
            if depth == 0 { Ok(Some(0)) } else { Box::pin(asynchronous(depth - 1)).await }
        }

        fn boxed_future(depth: u32) -> Pin<Box<dyn Future<Output = CallResult> + Send>> {
            Box::pin(future(depth))
        }

        $($attribute)*
        fn future(depth: u32) -> impl Future<Output = CallResult> + Send {
            async move { if depth == 0 { Ok(Some(0)) } else { boxed_future(depth - 1).await } }
        }

        $($attribute)*
        fn boxed(depth: u32) -> Pin<Box<dyn Future<Output = CallResult> + Send>> {
            Box::pin(async move { if depth == 0 { Ok(Some(0)) } else { boxed(depth - 1).await } })
        }

        let shapes: [(&str, fn(u32) -> CallResult); 4] = [
            ("sync", |depth| finishes("a nested call", move || sync(depth))),
            ("async", |depth| drive(asynchronous(depth))),
            ("future", |depth| drive(future(depth))),
            ("boxed", |depth| drive(boxed(depth))),
        ];
        shapes
    }};
}

fn is_busy(output: &CallResult, permits: u64) -> bool {
    matches!(output, Err(Failure::Premier(Error::ConcurrencyExceeded { limit, .. })) if *limit == permits)
}

#[test]
fn at_most_as_many_calls_run_at_a_time_as_the_limit() {
    let _turn = alone();
    for (shape, call) in nested!(#[concurrency(limit = 3)]) {
        for _ in 0..2 {
            assert!(call(2).is_ok(), "{shape}");
            let length = took(|| assert!(is_busy(&call(3), 3), "{shape}"));
            assert!(length.is_zero(), "{shape}: {length:?}");
        }
    }
}

#[test]
fn a_wait_for_a_permit_ends_at_its_deadline() {
    let _turn = alone();
    for (shape, call) in nested!(#[concurrency(limit = 1, wait = "5s")]) {
        for _ in 0..2 {
            assert!(call(0).is_ok(), "{shape}");
            let length = took(|| assert!(is_busy(&call(1), 1), "{shape}"));
            assert_eq!(length, 5 * SECOND, "{shape}");
        }
    }
}

#[test]
fn on_reject_returns_a_value_without_a_permit() {
    let _turn = alone();
    for (shape, call) in nested!(#[concurrency(limit = 1, on_reject = |_| Ok(Some(77)))]) {
        assert_eq!(call(1).unwrap(), Some(77), "{shape}");
        assert_eq!(call(0).unwrap(), Some(0), "{shape}");
    }
}
