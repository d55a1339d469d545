//! `#[throttle]`.

use super::*;

#[test]
fn a_cost_is_taken_as_often_as_it_fits() {
    let shapes = shapes!(|calls, what, user| #[throttle(quota = 10, duration = 60, cost = what)]);
    each(shapes, |subject, shape| {
        assert!(!subject.denied(4, 1), "{shape}");
        assert!(!subject.denied(4, 1), "{shape}");
        assert!(subject.denied(4, 1), "{shape}");
        assert!(!subject.denied(2, 1), "{shape}");
        assert!(subject.denied(1, 1), "{shape}");
        let never = subject.refusal(11, 1);
        assert!(
            matches!(never, Error::CostExceedsCapacity { cost: 11, .. }),
            "{shape}"
        );
    });
}

#[test]
fn a_written_cost_is_taken_each_time() {
    let shapes = shapes!(|calls, what, user| #[throttle(quota = 10, duration = 60, cost = 3)]);
    each(shapes, |subject, shape| {
        assert_eq!(admitted(subject), 3, "{shape}");
    });
}

#[test]
fn a_key_is_any_expression_over_the_arguments() {
    let shapes = shapes!(|calls, what, user|
        #[throttle(quota = 1, duration = 60, key = what + user)]);
    each(shapes, |subject, shape| {
        assert!(!subject.denied(1, 2), "{shape}");
        assert!(subject.denied(2, 1), "{shape}");
        assert!(!subject.denied(2, 2), "{shape}");
    });
}

#[test]
fn a_keymaker_is_given_every_argument_in_order() {
    let shapes = shapes!(|calls, what, user|
        #[throttle(quota = 1, duration = 60, keymaker = |_, what, user| format!("{what}:{user}"))]);
    each(shapes, |subject, shape| {
        assert!(!subject.denied(1, 2), "{shape}");
        assert!(!subject.denied(2, 1), "{shape}");
        assert!(!subject.denied(1, 1), "{shape}");
        assert!(subject.denied(1, 2), "{shape}");
    });
}

#[test]
fn a_key_with_a_cost_takes_each_of_its_own() {
    let shapes = shapes!(|calls, what, user|
        #[throttle(rate = "5/min", key = user, cost = what)]);
    each(shapes, |subject, shape| {
        assert!(!subject.denied(3, 1), "{shape}");
        assert!(subject.denied(3, 1), "{shape}");
        assert!(!subject.denied(3, 2), "{shape}");
        assert!(!subject.denied(2, 1), "{shape}");
    });
}

#[test]
fn a_rate_is_a_quota_and_a_duration() {
    let shapes = shapes!(|calls, what, user| #[throttle(rate = "3/20s")]);
    each(shapes, |subject, shape| {
        assert_eq!(admitted(subject), 3, "{shape}");
        assert_eq!(
            subject.refusal(0, 1).retry_after(),
            Some(20 * SECOND),
            "{shape}"
        );
    });
}

#[test]
fn of_several_limits_each_holds() {
    let shapes = shapes!(|calls, what, user|
        #[throttle(limits("2/10s", "3/h"), algo = "fixed_window")]);
    each(shapes, |subject, shape| {
        assert_eq!(admitted(subject), 2, "{shape}");
        assert_eq!(
            subject.refusal(0, 1).retry_after(),
            Some(10 * SECOND),
            "{shape}"
        );
        CLOCK.advance(10 * SECOND);
        assert_eq!(admitted(subject), 1, "{shape}");
        assert_eq!(
            subject.refusal(0, 1).retry_after(),
            Some(3_590 * SECOND),
            "{shape}"
        );
    });
}

#[test]
fn the_algorithm_is_the_one_that_is_named() {
    let shapes = shapes!(|calls, what, user|
        #[throttle(quota = 2, duration = 20, algo = "token_bucket")]);
    each(shapes, |subject, shape| {
        assert_eq!(admitted(subject), 2, "{shape}");
        assert_eq!(
            subject.refusal(0, 1).retry_after(),
            Some(10 * SECOND),
            "{shape}"
        );
    });
}

#[test]
fn a_burst_is_the_capacity_of_a_token_bucket() {
    let shapes = shapes!(|calls, what, user|
        #[throttle(quota = 1, duration = 10, algo = "token_bucket", burst = 4)]);
    each(shapes, |subject, shape| {
        assert_eq!(admitted(subject), 4, "{shape}");
        assert_eq!(
            subject.refusal(0, 1).retry_after(),
            Some(10 * SECOND),
            "{shape}"
        );
    });
}

#[test]
fn a_bucket_size_is_how_long_a_call_waits_for_its_slot() {
    let shapes = shapes!(|calls, what, user|
        #[throttle(quota = 1, duration = 10, algo = "leaky_bucket", bucket_size = 2, cost = what)]);
    each(shapes, |subject, shape| {
        // Three slots from now on; the next call begins after them.
        assert!(took(|| assert!(!subject.denied(3, 1))).is_zero(), "{shape}");
        assert_eq!(
            subject.refusal(1, 1).retry_after(),
            Some(10 * SECOND),
            "{shape}"
        );
        CLOCK.advance(10 * SECOND);
        assert_eq!(
            took(|| assert!(!subject.denied(1, 1))),
            20 * SECOND,
            "{shape}"
        );
    });
}

#[test]
fn a_wait_ends_with_admission() {
    let shapes = shapes!(|calls, what, user| #[throttle(quota = 1, duration = 10, wait)]);
    each(shapes, |subject, shape| {
        let length = took(|| {
            for _ in 0..3 {
                assert!(!subject.denied(0, 1), "{shape}");
            }
        });
        assert_eq!(length, 20 * SECOND, "{shape}");
    });
}

#[test]
fn a_wait_that_would_take_longer_than_it_may_fails_at_once() {
    let shapes = shapes!(|calls, what, user| #[throttle(quota = 1, duration = 10, wait = "4s")]);
    each(shapes, |subject, shape| {
        assert!(!subject.denied(0, 1), "{shape}");
        assert!(took(|| assert!(subject.denied(0, 1))).is_zero(), "{shape}");
        CLOCK.advance(6 * SECOND);
        assert_eq!(
            took(|| assert!(!subject.denied(0, 1))),
            4 * SECOND,
            "{shape}"
        );
    });
}

#[test]
fn a_name_shares_the_quota() {
    let shapes = shapes!(|calls, what, user|
        #[throttle(quota = 6, duration = 60, name = "shared by all shapes")]);
    each(shapes, |subject, shape| {
        for _ in 0..3 {
            assert_eq!(
                subject.denied(0, 1),
                !matches!(shape, "sync" | "async"),
                "{shape}"
            );
        }
    });
}

#[test]
fn on_reject_gives_the_value_instead() {
    let shapes = shapes!(|calls, what, user|
        #[throttle(quota = 1, duration = 60, on_reject = |_| Ok(Some(77)))]);
    each(shapes, |subject, shape| {
        assert_eq!(subject.call(0, 1).unwrap(), Some(1), "{shape}");
        assert_eq!(subject.call(0, 1).unwrap(), Some(77), "{shape}");
        assert_eq!(subject.count(), 1, "{shape}");
    });
}
